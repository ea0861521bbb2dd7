"""The canvas that ours is compared with: 100 nodes of streamlit-flow-component. Python answers a click with a star.

`streamlit run` starts it, with the default settings of Streamlit.
"""

import streamlit as st
from streamlit_flow import streamlit_flow
from streamlit_flow.elements import StreamlitFlowEdge, StreamlitFlowNode
from streamlit_flow.state import StreamlitFlowState

NODES = 100

st.set_page_config(layout="wide")
if "state" not in st.session_state:
    st.session_state["state"] = StreamlitFlowState(
        [
            StreamlitFlowNode(f"n{number}", (260 * (number // 20), 80 * (number % 20)), {"content": f"node {number}"})
            for number in range(NODES)
        ],
        [StreamlitFlowEdge(f"e{number}", f"n{number - 1}", f"n{number}") for number in range(1, NODES)],
    )
flow = streamlit_flow("flow", st.session_state["state"], fit_view=True, height=700, get_node_on_click=True)
for node in flow.nodes:
    if node.id == flow.selected_id and "*" not in node.data["content"]:
        node.data["content"] += "*"
        st.session_state["state"] = flow
        st.rerun()

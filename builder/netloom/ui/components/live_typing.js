// Streamlit sends what is typed into a field when the field loses the focus or Enter is pressed. This presses Enter
// after each pause, so that a prediction follows the typing.
const FIELDS = ["stTextArea", "stTextInput", "stNumberInput"].map((name) => `[data-testid=${name}]`).join(", ");
// A number that is not finished yet, or whose last digit changes nothing: committing would drop what was typed.
const UNFINISHED = /(^|[.,eE+-])$|[.,]\d*0$/;

function press(field) {
  const long = field.tagName === "TEXTAREA"; // there, Enter alone begins a new line
  for (const kind of ["keydown", "keypress"]) {
    const options = { key: "Enter", code: "Enter", keyCode: 13, charCode: 13, ctrlKey: long };
    field.dispatchEvent(new KeyboardEvent(kind, { ...options, bubbles: true, cancelable: true }));
  }
}

export default function ({ data }) {
  const { container, pause } = data;
  let timer = 0;
  const typed = ({ target }) => {
    if (!target.closest?.(`.st-key-${container}`) || !target.closest(FIELDS)) return;
    clearTimeout(timer);
    if (target.closest("[data-testid=stNumberInput]") && UNFINISHED.test(target.value)) return;
    timer = setTimeout(() => target.isConnected && press(target), pause);
  };
  document.addEventListener("input", typed);
  return () => {
    clearTimeout(timer);
    document.removeEventListener("input", typed);
  };
}

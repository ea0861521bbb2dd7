"""CSS for which Streamlit has no setting."""

import streamlit as st

STYLE = """<style>
.stMainBlockContainer{padding-top:4.2rem;padding-bottom:2rem;padding-left:2.2rem;padding-right:2.2rem}
button[kind^=primary]:not(:disabled),.stMultiSelect [data-tag]{color:oklch(from currentColor calc((.6 - l)*100) 0 0)}
.stMultiSelect [data-tag] *{color:inherit}
[data-testid=stCaptionContainer]{opacity:1;color:color-mix(in srgb,currentColor 68%,transparent)}
[data-testid=stCaptionContainer] :is(p,li,strong,em){color:inherit}
.stElementContainer:has(.for-screen-readers){position:absolute;width:1px}
.for-screen-readers{position:absolute;width:1px;height:1px;margin:0;padding:0;overflow:hidden;white-space:nowrap}
[class*=st-key-results]{min-height:90vh}
:is(a,.stMain,[data-testid=stBaseButton-elementToolbar],[tabindex="0"][role=region]):focus-visible,
[data-testid=stRadioOption]:has(:focus-visible){outline:2px solid currentColor;outline-offset:2px;border-radius:.3rem}
.stMain:focus-visible{outline-offset:-2px}
[data-testid=stElementToolbar]:focus-within{opacity:1;visibility:visible;z-index:10}
[data-testid=stDataFrame] [data-testid=stElementToolbar]:focus-within{top:-2.4rem}
@media (hover:none){
.stElementContainer:has([data-testid=stDataFrame] [data-testid=stElementToolbar]){margin-top:2.4rem}}
.stTooltipIcon button:not([kind]),[data-testid=stHeaderActionElements] a[href^="#"]{
padding:4px;margin:-4px;box-sizing:content-box}
.js-plotly-plot g:is([class$=tick],[class$=title]:not(.g-gtitle),.colorbar) text{
fill:color-mix(in srgb,currentColor 68%,transparent)!important}
.stCode .token.token.token{color:oklch(from currentColor calc(.36 + .45*l) .13 var(--hue))}
.stCode .token.token.token:is(.comment,.prolog,.punctuation){color:color-mix(in srgb,currentColor 68%,transparent)}
.stCode .token .token.token.token{color:inherit}
.stCode .token{--hue:260}.stCode .token:is(.string,.attr-value){--hue:145}.stCode .token:is(.number,.boolean){--hue:185}
.stCode .token:is(.operator,.decorator,.entity){--hue:50}
[class*=st-key-icon-only] button{position:relative}
[class*=st-key-icon-only] button [data-testid=stMarkdownContainer]{
position:absolute;width:1px;height:1px;overflow:hidden}
.st-key-popovers{position:absolute;width:1px}
.stMain h2{font-size:1.75rem}.stMain h3{font-size:1.4rem}.stMain h4{font-size:1.2rem}
.stMarkdownBadge,.stMarkdownBadge *,[data-testid=stMetricLabel] *{white-space:normal!important}
.stMultiSelect [data-tag] button{min-width:24px;min-height:24px}.stMultiSelect input{min-width:24px}
.stMarkdown :is(th,td:first-child){overflow-wrap:anywhere;hyphens:auto;min-width:4.5em}
@media (max-width:640px){.stMarkdown table{font-size:.75rem}.stMarkdown :is(td,th){padding:.3rem}
.stMarkdown table:has(th:nth-child(7)){font-size:.6rem}
.stMarkdown table:has(th:nth-child(7)) :is(td,th){padding:.1rem;min-width:0;overflow-wrap:anywhere}}
[data-testid=stTab],[role=dialog] button[aria-label=Close]{min-width:24px;min-height:24px}
button[kind^=primary]:not(:disabled):is(:hover,:active){
background:oklch(from currentColor calc(.785 - .328*l) calc(.115 + .125*l) 276);border-color:transparent}
</style>"""


def page_style(heading: str) -> None:
    """Apply the CSS of the app to a page, and give the page a heading for screen readers; "" if it draws its own.

    - Captions have their own color, because Streamlit's opacity also fades links and code in them, below the contrast
      of 4.5:1 that WCAG 2.2 asks for (1.4.3).
    - Links, the scrolled page, options, and the buttons of tables and images have a visible focus, which Streamlit
      leaves out, and help icons are 24 pixels wide and high, as WCAG 2.2 asks (2.4.7, 2.5.8). Other buttons with a help
      have a `kind` and keep their size.
    - Colors follow from the color of the text, because `light-dark()` is always light in popovers and dialogs, which
      Streamlit draws outside the element that has the color scheme.
    - Hovering lightens a primary button in the dark theme, because Streamlit would darken it until its text is
      unreadable.
    - Axes of charts have the color of captions, because the gray of Streamlit's theme has a contrast of 3.7:1 on white.
    - Code has colors of its own, because those of Streamlit have contrasts down to 2.2:1 in the light theme.
    - Popovers with only an icon hide their label, which screen readers read; see `icon_popover`. The button is the
      origin of its position, because it would widen a row that is swiped, and with it the page.
    - Headings of the second to the fourth level are smaller than Streamlit's, as the name of a project is one.
    - Tables in a text are as wide as the page: a table that scrolls could not be reached by the keyboard.
    - Touch screens always show the buttons of a table, above it, where they would cover a text.
    - Tabs and the buttons that close a dialog are at least 24 pixels wide and high.
    - Results have at least the height of a page, so that the scroll position remains while another tab is loading.
    """
    st.html(STYLE)
    if heading:
        st.html(f'<h1 class="for-screen-readers">{heading}</h1>')


def nothing_yet() -> None:
    """Draw the content of a page without any project."""
    st.info("There is no project yet. Go to Home and start with a template or an empty canvas.")
    if st.button("Go to Home", type="primary", icon=":material/home:"):
        st.switch_page("pages/home.py")

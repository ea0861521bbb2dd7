// Loads Plotly when the browser has nothing else to do, as its first chart would wait a second for it.
const DELAY_MS = 800;  // the page itself comes first
// To run Plotly takes most of a second, in which the page does not answer: not while somebody types or draws.
const QUIET_MS = 2000;
const FIELDS = "input, textarea, [contenteditable]";
const ACTIONS = ["keydown", "pointerdown", "pointerup"];
export default function ({ data }) {
  // The address is relative to Streamlit's own script, because the app can be served below any path
  const script = document.querySelector('script[src*="/static/js/"]');
  if (!data?.file || !script || !window.requestIdleCallback) return;
  const load = () => {
    if (document.activeElement?.matches(FIELDS)) return wait(QUIET_MS);
    stop();
    import(new URL(data.file, script.src).href).catch(() => {});
  };
  let timer = 0;
  const wait = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(() => requestIdleCallback(load), ms);
  };
  const acted = () => wait(QUIET_MS);
  const stop = () => {
    clearTimeout(timer);
    for (const kind of ACTIONS) document.removeEventListener(kind, acted, true);
  };
  for (const kind of ACTIONS) document.addEventListener(kind, acted, true);
  wait(DELAY_MS);
  return stop;
}

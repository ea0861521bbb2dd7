// A click on Start, Stop or Pause replaces the button, and the browser would put the focus at the start of the page.
// Pause and Resume take turns, so the focus goes to the button in the same place. After Start and Stop it goes to the
// heading with the state of the run, where a second press of Enter does nothing.
const BUTTONS = ".st-key-train-card, .st-key-controls";
const STOP = ".st-key-stop";
const CONTROL = ".st-key-controls .stButton button:not(:disabled)";
const HEADING = ".st-key-run-status :is(h1, h2, h3)";
const RERUNNING = "[data-test-script-state=running]";
const CHECK_MS = 100;
const CHECKS = 1200; // a run starts within seconds, or a minute on a busy machine, and a rerun draws the heading again

let installed = false;

export default () => {
  if (installed) return;
  installed = true;
  let turn = 0; // the number of actions of the user; another one ends the wait

  const follow = (current, toButton, left) => {
    if (current !== turn || left === 0) return;
    // While the page is rerun, the heading is still that of the run before.
    if (document.activeElement === document.body && !document.querySelector(RERUNNING)) {
      const heading = document.querySelector(HEADING);
      const next = (toButton && document.querySelector(CONTROL)) || heading;
      heading?.setAttribute("tabindex", "-1");
      next?.focus();
    }
    setTimeout(follow, CHECK_MS, current, toButton, left - 1);
  };

  for (const name of ["keydown", "pointerdown"]) document.addEventListener(name, () => (turn += 1), true);
  document.addEventListener("click", ({ target }) => {
    const part = target.closest?.("button")?.closest(BUTTONS);
    if (part) follow(turn, part.matches(".st-key-controls") && !target.closest(STOP), CHECKS);
  });
};

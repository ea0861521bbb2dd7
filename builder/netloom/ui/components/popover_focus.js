// Streamlit draws an open popover at the end of the page and leaves the focus on its button, so that Tab would lead
// through the rest of the page first, and a choice that closes the popover would lose the focus.
const BUTTON = "[data-testid=stPopoverButton][aria-expanded=true]";
const BODY = "[data-testid=stPopoverBody]";
const FOCUSABLE = 'a[href], summary, [tabindex="0"], :is(button, input, textarea):not(:disabled):not([tabindex="-1"])';
const RERUNNING = "[data-test-script-state=running]";
const CHECK_MS = 100;
const CHECKS = 100;

let installed = false;

export default () => {
  if (installed) return;
  installed = true;
  let button = null; // of the popover that has the focus
  let place = null; // the element around the button that has a key

  const fields = (body) => [...body.querySelectorAll(FOCUSABLE)].filter((field) => field.checkVisibility());

  // A rerun of the page may have replaced the button.
  const current = () => {
    if (!button || button.isConnected) return button;
    const key = [...(place?.classList ?? [])].find((name) => name.startsWith("st-key-"));
    return key && document.querySelector(`.${CSS.escape(key)} [data-testid=stPopoverButton]`);
  };

  const heading = () => {
    const first = document.querySelector(".stMain :is(h1, h2, h3)");
    first?.setAttribute("tabindex", "-1");
    return first;
  };

  const restore = (left) => {
    const isRerunning = document.querySelector(RERUNNING);
    const isOpen = document.querySelector(BODY);
    // After a rerun without the button, such as that of a deleted project, the focus would be lost.
    if (document.activeElement === document.body && !isOpen) (current() ?? (isRerunning ? null : heading()))?.focus();
    const isWaiting = isOpen || isRerunning || document.activeElement === document.body;
    if (isWaiting && left > 0) setTimeout(restore, CHECK_MS, left - 1);
  };

  document.addEventListener("keydown", (event) => {
    const active = document.activeElement;
    const body = active.closest(BODY);
    if (event.key !== "Tab") {
      if (body && ["Enter", " ", "Escape"].includes(event.key)) restore(CHECKS);
    } else if (!event.shiftKey && active.matches(BUTTON)) {
      const first = fields([...document.querySelectorAll(BODY)].at(-1) ?? active)[0];
      if (!first) return;
      event.preventDefault();
      button = active;
      place = active.closest("[class*=st-key-]");
      first.focus();
    } else if (body && button?.isConnected && active === fields(body).at(event.shiftKey ? 0 : -1)) {
      // Forward, the browser continues with the field after the button.
      button.focus();
      if (event.shiftKey) event.preventDefault();
    }
  });
};

// Streamlit keeps only the last message of a chat input if several arrive before its script goes on. This sends the
// messages instead, as a list: each list has all messages that the server has not confirmed, so a later one replaces
// nothing.
const FIELD = "[data-testid=stChatInputTextArea]";
const BUTTON = "[data-testid=stChatInputSubmitButton]";

const outboxes = new WeakMap(); // messages by the element of the component, which is drawn anew with each answer
const refused = new WeakSet(); // the elements of components whose chat input has a message that is too long

const lettersOf = (text) => [...text].length; // as Python counts them

function clear(field) {
  const { set } = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value");
  set.call(field, ""); // past React, which notices the change by the event
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

export default function ({ parentElement, data, setStateValue }) {
  const { container, confirmed, max_chars } = data;
  const waiting = (outboxes.get(parentElement) ?? []).filter(([id]) => !confirmed.includes(id));
  outboxes.set(parentElement, waiting);

  const send = (event, box) => {
    const field = box?.querySelector(FIELD);
    const text = field?.value.trim();
    if (!text) return;
    event.preventDefault();
    event.stopPropagation();
    const letters = lettersOf(text);
    if (letters > max_chars) {
      refused.add(parentElement);
      setStateValue("too_long", letters);
      return; // the field still has the text, to be shortened
    }
    clear(field);
    field.focus();
    waiting.push([crypto.getRandomValues(new Uint32Array(2)).join("-"), text]);
    setStateValue("messages", [...waiting]);
  };
  const boxOf = (target, part) => target.closest?.(part)?.closest(`.st-key-${container}`);
  const pressed = (event) => {
    const { key, shiftKey, isComposing, target } = event;
    if (key === "Enter" && !shiftKey && !isComposing) send(event, boxOf(target, FIELD));
  };
  const edited = ({ target }) => {
    if (!refused.has(parentElement) || !boxOf(target, FIELD) || lettersOf(target.value.trim()) > max_chars) return;
    refused.delete(parentElement);
    setStateValue("too_long", 0);
  };
  const clicked = (event) => send(event, boxOf(event.target, BUTTON));
  // While the event goes down, before the chat input itself takes it.
  document.addEventListener("keydown", pressed, true);
  document.addEventListener("click", clicked, true);
  document.addEventListener("input", edited, true);
  return () => {
    document.removeEventListener("keydown", pressed, true);
    document.removeEventListener("click", clicked, true);
    document.removeEventListener("input", edited, true);
  };
}

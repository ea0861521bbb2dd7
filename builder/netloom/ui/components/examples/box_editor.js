// An image with the boxes of its objects, which are drawn, moved, resized and removed. The list of boxes is sent to the
// server when the pointer is lifted or a key is pressed.
const MIN_SIDE = 0.005; // of a box; a click without a movement draws none
const STEP = 0.01; // by which an arrow key moves a side
const NAME_ROOM = 0.08; // the share of the image above a box that its name needs
const KEYS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
// The sides that each corner moves: the numbers of x and y in x_min, y_min, x_max, y_max
const CORNERS = { "top left": [0, 1], "top right": [2, 1], "bottom left": [0, 3], "bottom right": [2, 3] };

const editors = new WeakMap(); // the state of each editor, which outlives reruns of the page

const clamped = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (share) => `${100 * share}%`;

/** Return a box with its sides in order. */
function ordered([x, y, otherX, otherY]) {
  return [Math.min(x, otherX), Math.min(y, otherY), Math.max(x, otherX), Math.max(y, otherY)];
}

/** Return a box of the same size that is moved within the image. */
function moved([left, top, right, bottom], across, down) {
  const [dx, dy] = [clamped(across, -left, 1 - right), clamped(down, -top, 1 - bottom)];
  return [left + dx, top + dy, right + dx, bottom + dy];
}

function isLargeEnough([left, top, right, bottom]) {
  return Math.min(right - left, bottom - top) >= MIN_SIDE;
}

function element(kind, attributes, ...children) {
  const node = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Draw the boxes; larger ones first, so that smaller ones can be reached. The focus stays, or moves to `focused`. */
function draw(editor, focused = editor.stage.querySelector(".box:focus")?.dataset.index) {
  const { stage, boxes, classes, selected } = editor;
  stage.querySelectorAll(".box").forEach((node) => node.remove());
  const area = (index) => {
    const [left, top, right, bottom] = boxes[index].sides;
    return (right - left) * (bottom - top);
  };
  for (const index of [...boxes.keys()].sort((first, second) => area(second) - area(first))) {
    const { number, sides } = boxes[index];
    const { name, color, text } = classes[number];
    const [left, top, right, bottom] = sides;
    const isSelected = index === selected;
    const [x, y, width, height] = [left, top, right - left, bottom - top].map((share) => Math.round(100 * share));
    const place = `${x}% from the left, ${y}% from the top, ${width}% wide, ${height}% high`;
    // Above the box if there is room, and at its right side in the right half, so that a long name stays in the image
    const position = `${top >= NAME_ROOM ? "above " : ""}${left + right > 1 ? "at-right" : "at-left"}`;
    const label = element("span", { class: `name ${position}`, style: `background:${color};color:${text}` }, name);
    const corners = isSelected ? Object.keys(CORNERS) : [];
    const node = element(
      "div",
      {
        class: isSelected ? "box selected" : "box",
        role: "button",
        tabindex: "0",
        "data-index": index,
        "aria-pressed": isSelected,
        "aria-label": `${name}, ${place}`,
        style: `left:${percent(left)};top:${percent(top)};border-color:${color}`,
      },
      label,
      ...corners.map((corner) => element("span", { class: `corner ${corner}`, "data-corner": corner })),
    );
    Object.assign(node.style, { width: percent(right - left), height: percent(bottom - top) });
    stage.append(node);
  }
  stage.querySelector(`[data-index="${focused}"]`)?.focus({ preventScroll: true });
}

export default function ({ parentElement, data, setStateValue }) {
  const stage = parentElement.querySelector("[data-part=stage]");
  const picture = stage.querySelector("img");
  let editor = editors.get(stage);
  if (!editor) {
    editor = { stage, boxes: [], selected: null, drag: null, change: data.change };
    editors.set(stage, editor);
  }
  const { classes, chosen, disabled } = data;
  editor.classes = classes;
  if (picture.getAttribute("src") !== data.picture) picture.setAttribute("src", data.picture);
  stage.style.width = `min(100%, ${data.width}px)`;
  stage.style.aspectRatio = `${data.ratio}`;
  stage.setAttribute("aria-label", `Objects in the image. New boxes are labeled ${classes[chosen].name}.`);
  stage.toggleAttribute("data-disabled", disabled);
  // A rerun of the page discards nothing: the boxes are replaced only by others, and not by those before a later change.
  if (editor.text !== data.text && editor.change <= data.change) {
    [editor.text, editor.change] = [data.text, data.change];
    const { drag } = editor;
    const dragged = drag && editor.boxes[drag.index];
    editor.boxes = data.boxes.map(([number, ...sides]) => ({ number, sides }));
    if (drag) {
      const count = editor.boxes.length;
      editor.selected = drag.index = drag.isNew ? count : Math.min(drag.index, count);
      editor.boxes[drag.index] = dragged;
    } else if (editor.selected >= editor.boxes.length) editor.selected = null;
  }

  const send = () => {
    const boxes = editor.boxes.map(({ number, sides }) => [number, ...sides]);
    editor.change += 1;
    setStateValue("boxes", { change: editor.change, boxes });
  };
  const select = (index) => {
    editor.selected = index;
    draw(editor, index ?? undefined);
  };
  const remove = (index) => {
    editor.boxes.splice(index, 1);
    stage.focus({ preventScroll: true }); // so that Tab goes to another box
    select(null);
    send();
  };
  const position = (event) => {
    const area = stage.getBoundingClientRect();
    return [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
  };
  const inside = (point) => point.map((value) => clamped(value, 0, 1));

  stage.onpointerdown = (event) => {
    if (disabled || editor.drag || event.button !== 0) return; // one finger at a time
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    const [x, y] = inside(position(event));
    const corner = event.target.closest("[data-corner]");
    const node = event.target.closest("[data-index]");
    const drag = { pointer: event.pointerId, from: [x, y] };
    if (!node) {
      editor.boxes.push({ number: chosen, sides: [x, y, x, y] });
      Object.assign(drag, { index: editor.boxes.length - 1, start: [x, y, x, y], sides: [2, 3], isNew: true });
    } else {
      const index = Number(node.dataset.index);
      const sides = corner ? CORNERS[corner.dataset.corner] : null;
      Object.assign(drag, { index, start: [...editor.boxes[index].sides], sides });
    }
    editor.drag = drag;
    select(drag.index);
  };
  stage.onpointermove = (event) => {
    const { drag } = editor;
    if (event.pointerId !== drag?.pointer) return;
    const [x, y] = position(event);
    if (drag.sides) {
      const sides = [...drag.start];
      [sides[drag.sides[0]], sides[drag.sides[1]]] = inside([x, y]);
      editor.boxes[drag.index].sides = ordered(sides);
    } else {
      editor.boxes[drag.index].sides = moved(drag.start, x - drag.from[0], y - drag.from[1]);
    }
    draw(editor);
  };
  stage.onpointerup = stage.onpointercancel = (event) => {
    const { drag } = editor;
    if (event.pointerId !== drag?.pointer) return;
    editor.drag = null;
    const box = editor.boxes[drag.index];
    const isKept = isLargeEnough(box.sides) || (!drag.isNew && !drag.sides); // a small box can be moved
    if (!isKept && drag.isNew) editor.boxes.splice(drag.index, 1);
    else if (!isKept) box.sides = drag.start;
    select(isKept || !drag.isNew ? drag.index : null);
    if (isKept && box.sides.some((value, side) => value !== drag.start[side])) send();
  };
  stage.onkeydown = (event) => {
    const node = event.target.closest("[data-index]");
    if (disabled || editor.drag || !node || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = Number(node.dataset.index);
    const { sides } = editor.boxes[index];
    if (event.key in KEYS) {
      const [dx, dy] = KEYS[event.key];
      const [left, top, right, bottom] = sides;
      const resized = [left, top, clamped(right + dx, left + STEP, 1), clamped(bottom + dy, top + STEP, 1)];
      editor.boxes[index].sides = event.shiftKey ? resized : moved(sides, dx, dy);
      select(index);
      send();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      remove(index);
    } else if (event.key === "Enter" || event.key === " ") {
      select(index);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  stage.onfocusin = (event) => {
    const node = event.target.closest("[data-index]");
    if (disabled || !node || Number(node.dataset.index) === editor.selected) return;
    select(Number(node.dataset.index)); // by Tab
  };
  draw(editor, editor.drag?.index);
}

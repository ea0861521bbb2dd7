// A brush that the keyboard moves over an image whose cells can be painted. The line below the image has the focus;
// the brush is drawn over the image, which Streamlit replaces after each stroke.
const PLOT = ".js-plotly-plot .nsewdrag"; // the area of the image within the chart
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const LARGER = ["+", "="];
const SMALLER = ["-", "_", "−"];
const DIGITS_MS = 800; // within which two digits are one number
const LARGEST = 9;

const brushes = new WeakMap(); // the state of each brush, which outlives reruns of the page

function clamped(value, max) {
  return Math.min(Math.max(value, 0), max);
}

/** The cells (row, column) below the brush. */
function covered({ row, column, size, rows, columns }) {
  const cells = [];
  const before = Math.floor((size - 1) / 2);
  for (let down = row - before; down < row - before + size; down++) {
    for (let across = column - before; across < column - before + size; across++) {
      if (down >= 0 && across >= 0 && down < rows && across < columns) cells.push([down, across]);
    }
  }
  return cells;
}

/** The position of a rectangle of cells on the page; `corner` is its first cell, and `spans` its rows and columns. */
function cellStyle(area, brush, corner, spans) {
  const [pixelHeight, pixelWidth] = [area.height / brush.height, area.width / brush.width];
  const [top, left] = corner.map((cell) => cell * brush.side);
  const bottom = Math.min(top + spans[0] * brush.side, brush.height);
  const right = Math.min(left + spans[1] * brush.side, brush.width);
  return {
    top: `${area.top + top * pixelHeight}px`,
    left: `${area.left + left * pixelWidth}px`,
    height: `${(bottom - top) * pixelHeight}px`,
    width: `${(right - left) * pixelWidth}px`,
  };
}

function layer(style) {
  const element = document.createElement("div");
  Object.assign(element.style, { position: "fixed", pointerEvents: "none", zIndex: 1, boxSizing: "border-box" }, style);
  return element;
}

function draw(brush) {
  brush.overlay.replaceChildren();
  const plot = document.querySelector(`.st-key-${brush.board} ${PLOT}`);
  if (plot) {
    const area = plot.getBoundingClientRect();
    for (const cell of brush.cells) {
      brush.overlay.append(layer({ ...cellStyle(area, brush, cell, [1, 1]), background: "rgba(99,102,241,0.7)" }));
    }
    const cells = covered(brush);
    const [first, last] = [cells[0], cells.at(-1)];
    const spans = [0, 1].map((axis) => last[axis] - first[axis] + 1);
    // Light and dark, so that it is visible on every image
    const border = { border: "2px solid #fff", boxShadow: "0 0 0 2px #000" };
    brush.overlay.append(layer({ ...cellStyle(area, brush, first, spans), ...border }));
  }
  brush.frame = requestAnimationFrame(() => draw(brush));
}

export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
  const find = (part) => parentElement.querySelector(`[data-part=${part}]`);
  const [line, help, status] = ["brush", "help", "status"].map(find);
  let brush = brushes.get(line);
  if (!brush) {
    const middle = [data.rows, data.columns].map((count) => Math.floor(count / 2));
    brush = { row: middle[0], column: middle[1], size: 1, waiting: [], cells: [], digits: "", at: 0, held: false };
    brush.overlay = document.createElement("div");
    brushes.set(line, brush);
  }
  const { rows, columns, side, height, width, colors, noun } = data;
  Object.assign(brush, { rows, columns, side, height, width });
  brush.row = clamped(brush.row, rows - 1);
  brush.column = clamped(brush.column, columns - 1);
  brush.board = data.board.trim().replace(/[^a-zA-Z0-9_-]/g, "-");
  brush.waiting = brush.waiting.filter(([id]) => !data.confirmed.includes(id));
  if (!brush.held) brush.cells = brush.waiting.flatMap(([, cells]) => cells);
  if (data.color !== brush.chosen) brush.color = brush.chosen = data.color; // by the pointer

  const numbers = colors.length > 1 ? `1–${colors.length}` : "1";
  help.textContent = `Keyboard: arrow keys move the brush, Space paints, ${numbers} pick the ${noun}, + and − its size.`;
  line.setAttribute("aria-label", `Brush for the keyboard, ${columns} × ${rows} cells`);
  const updateStatus = () => {
    const position = `row ${brush.row + 1}, column ${brush.column + 1}`;
    status.textContent = `${colors[brush.color]}, ${position}, size ${brush.size}`;
  };
  updateStatus();

  const paint = () => {
    const cells = covered(brush);
    brush.stroke.push(...cells);
    brush.cells.push(...cells);
  };
  const lift = () => {
    if (!brush.held) return;
    brush.held = false;
    const distinct = new Map(brush.stroke.map((cell) => [cell.join(), cell]));
    brush.waiting.push([crypto.getRandomValues(new Uint32Array(2)).join("-"), [...distinct.values()], brush.color]);
    setStateValue("strokes", [...brush.waiting]);
  };
  const pick = (digit, time) => {
    const both = time - brush.at < DIGITS_MS ? brush.digits + digit : digit;
    brush.digits = Number(both) <= colors.length ? both : digit;
    brush.at = time;
    const number = Number(brush.digits);
    if (number < 1 || number > colors.length) return;
    brush.color = number - 1;
    setTriggerValue("color", brush.color);
  };

  line.onkeydown = (event) => {
    const { key, ctrlKey, metaKey, altKey, repeat, timeStamp } = event;
    if (ctrlKey || metaKey || altKey) return;
    if (key in MOVES) {
      brush.row = clamped(brush.row + MOVES[key][0], rows - 1);
      brush.column = clamped(brush.column + MOVES[key][1], columns - 1);
      if (brush.held) paint();
    } else if (key === " ") {
      if (!repeat && !brush.held) {
        brush.held = true;
        brush.stroke = []; // the cells that are painted while Space is held
        paint();
      }
    } else if (LARGER.includes(key)) {
      brush.size = Math.min(brush.size + 1, LARGEST, rows, columns);
    } else if (SMALLER.includes(key)) {
      brush.size = Math.max(brush.size - 1, 1);
    } else if (/^[0-9]$/.test(key)) {
      pick(key, timeStamp);
    } else return;
    if (!/[0-9]/.test(key)) brush.digits = "";
    event.preventDefault();
    event.stopPropagation();
    updateStatus();
  };
  line.onkeyup = (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    lift();
  };
  line.onfocus = () => {
    document.body.append(brush.overlay);
    cancelAnimationFrame(brush.frame);
    draw(brush);
  };
  line.onblur = () => {
    lift();
    cancelAnimationFrame(brush.frame);
    brush.overlay.remove();
  };
  return () => {
    if (line.isConnected) return;
    cancelAnimationFrame(brush.frame);
    brush.overlay.remove();
  };
}

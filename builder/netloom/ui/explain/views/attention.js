// Attention: the heads as small maps to select from, or a drawing that highlights the step under the pointer.
const FADED_OPACITY = "0.03";

/** Draw a button for each head, in a row for each layer. */
function drawHeads(view, data, setTriggerValue) {
  view.className = "view grid";
  view.replaceChildren(
    ...data.layers.map((layer, row) => {
      const line = document.createElement("div");
      line.className = "layer";
      const title = document.createElement("div");
      title.className = "title";
      title.textContent = layer.title;
      const maps = document.createElement("div");
      maps.className = "maps";
      maps.append(
        ...layer.heads.map((head, column) => {
          const button = document.createElement("button");
          button.type = "button";
          button.title = head.about;
          button.className = data.chosen[0] === row && (data.chosen[1] === column || data.chosen[1] < 0) ? "chosen" : "";
          button.setAttribute("aria-label", `${layer.title}, head ${column + 1}: ${head.about}`);
          const picture = document.createElement("img");
          picture.src = head.picture;
          picture.alt = "";
          const name = document.createElement("span");
          name.textContent = String(column + 1);
          button.append(picture, name);
          button.onclick = () => setTriggerValue("chosen", [row, column]);
          return button;
        }),
      );
      line.append(title, maps);
      return line;
    }),
  );
}

/** Show only the lines of the token under the pointer, or else those of the selected token. A click selects. */
function highlightTokens(svg) {
  let selected = null;
  const show = (token) => {
    const { row, column } = token?.dataset ?? {};
    for (const line of svg.querySelectorAll(".pair")) {
      const isFaded = (row !== undefined && line.dataset.row !== row) || (column !== undefined && line.dataset.column !== column);
      line.style.strokeOpacity = isFaded ? FADED_OPACITY : "";
      line.style.display = token && !isFaded ? "inline" : ""; // also lines of weak attention
    }
    for (const label of svg.querySelectorAll(".token")) label.style.fontWeight = label === token ? "700" : "";
  };
  for (const token of svg.querySelectorAll(".token")) {
    token.onmouseenter = () => show(token);
    token.onmouseleave = () => show(selected);
    token.onclick = () => {
      selected = selected === token ? null : token;
      show(selected);
    };
  }
}

/** Show the attention of the part of the picture under the pointer, or else of the selected part. A click selects. */
function highlightQueries(svg, colors) {
  let selected = svg.querySelector(".query.chosen");
  const show = (query) => {
    for (const part of svg.querySelectorAll(".query")) {
      if (!part.dataset.width) part.dataset.width = part.classList.contains("chosen") ? "0.4" : part.getAttribute("stroke-width");
      part.setAttribute("stroke-width", part === query ? "3" : part.dataset.width);
    }
    if (!query?.dataset.values) return;
    const values = query.dataset.values.split(" ").map(Number);
    const max = Math.max(...values.map(Math.abs)) || 1;
    for (const cell of svg.querySelectorAll(".key")) {
      const value = values[Number(cell.dataset.column)];
      cell.setAttribute("fill", value >= 0 ? colors[0] : colors[1]);
      cell.setAttribute("fill-opacity", ((0.85 * Math.abs(value)) / max).toFixed(3));
      cell.querySelector("title").textContent = `${query.dataset.label} → ${cell.dataset.label}: ${value.toFixed(3)}`;
    }
  };
  for (const query of svg.querySelectorAll(".query")) {
    query.onmouseenter = () => show(query);
    query.onmouseleave = () => show(selected);
    query.onclick = () => show((selected = query));
  }
  show(selected);
}

export default function mount({ parentElement, data, setTriggerValue }) {
  const view = parentElement.querySelector(".view");
  if (data.layers) {
    drawHeads(view, data, setTriggerValue);
    return;
  }
  if (view.dataset.svg === data.svg) return;
  view.className = "view drawing";
  view.dataset.svg = data.svg;
  view.innerHTML = data.svg; // from the app, with all user texts escaped
  const svg = view.querySelector("svg");
  if (svg.querySelector(".query")) highlightQueries(svg, data.colors);
  else highlightTokens(svg);
}

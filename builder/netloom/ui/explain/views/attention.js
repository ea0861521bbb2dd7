// Shows attention: every head as a small map to choose from, or a drawing whose steps can be pointed at.
const DIM = "0.03";

/** One button for each head, a row for each layer. */
function heads(view, data, setTriggerValue) {
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

/** Pointing at a step shows all its lines, and them alone; a click keeps it so until the next. */
function lines(svg) {
  let kept = null;
  const show = (token) => {
    const { row, column } = token?.dataset ?? {};
    for (const line of svg.querySelectorAll(".pair")) {
      const apart = (row !== undefined && line.dataset.row !== row) || (column !== undefined && line.dataset.column !== column);
      line.style.strokeOpacity = apart ? DIM : "";
      line.style.display = token && !apart ? "inline" : ""; // its weak ones too
    }
    for (const other of svg.querySelectorAll(".token")) other.style.fontWeight = other === token ? "700" : "";
  };
  for (const token of svg.querySelectorAll(".token")) {
    token.onmouseenter = () => show(token);
    token.onmouseleave = () => show(kept);
    token.onclick = () => {
      kept = kept === token ? null : token;
      show(kept);
    };
  }
}

/** Pointing at a place of the picture shows what it looks at; a click keeps it so. */
function places(svg, colors) {
  let kept = svg.querySelector(".looks.chosen");
  const show = (place) => {
    for (const other of svg.querySelectorAll(".looks")) {
      if (!other.dataset.thin) other.dataset.thin = other.classList.contains("chosen") ? "0.4" : other.getAttribute("stroke-width");
      other.setAttribute("stroke-width", other === place ? "3" : other.dataset.thin);
    }
    if (!place?.dataset.values) return;
    const values = place.dataset.values.split(" ").map(Number);
    for (const cell of svg.querySelectorAll(".seen")) {
      const value = values[Number(cell.dataset.column)];
      cell.setAttribute("fill", value >= 0 ? colors[0] : colors[1]);
      cell.setAttribute("fill-opacity", (0.85 * Math.abs(value)).toFixed(3));
      cell.querySelector("title").textContent = value.toFixed(3);
    }
  };
  for (const place of svg.querySelectorAll(".looks")) {
    place.onmouseenter = () => show(place);
    place.onmouseleave = () => show(kept);
    place.onclick = () => show((kept = place));
  }
  show(kept);
}

export default function mount({ parentElement, data, setTriggerValue }) {
  const view = parentElement.querySelector(".view");
  if (data.layers) {
    heads(view, data, setTriggerValue);
    return;
  }
  if (view.dataset.svg === data.svg) return;
  view.className = "view drawing";
  view.dataset.svg = data.svg;
  view.innerHTML = data.svg; // made by the app, with all texts of people escaped
  const svg = view.querySelector("svg");
  if (svg.querySelector(".looks")) places(svg, data.colors);
  else lines(svg);
}

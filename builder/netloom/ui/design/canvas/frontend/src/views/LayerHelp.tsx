// What a layer is: its formula, its parameters, a picture with the shapes that pass through this very node, and where
// to read more. All of it is said by the layer's declaration in Python, and asked for when the panel opens.
import { useEffect, useRef } from "react";
import { targetRef } from "../core/graph";
import { keyOf } from "../core/networks";
import { inputsOf, outputsOf } from "../core/connectionRules";
import type { About, LayerType, Port } from "../core/generated";
import { useLayers, useShared, useSlice, useUi } from "./context";

export function OpenAbout() {
  const { engine, commands } = useShared();
  const layers = useLayers();
  const open = useUi((state) => state.panel === "about");
  const wish = useUi((state) => state.about);
  const picked = useUi((state) => state.picked);
  const before = useRef(picked);
  useEffect(() => {
    // The panel follows the selection, so that one can go through a network with it.
    const other = before.current !== picked;
    before.current = picked;
    if (open && other && picked && !picked.includes(" ")) commands.tidy.aboutNode(picked);
  }, [open, picked, commands]);
  const answer = useSlice("derived", (engine) => engine.data.about);
  const layer = wish?.node
    ? engine.layerOf(engine.graph.nodes[wish.node])
    : layers.find((found) => keyOf(found) === wish?.key);
  if (!open || !wish || !layer) return null;
  const facts = answer?.type === layer.type && answer.node === wish.node ? answer : null;
  return <Panel layer={layer} node={wish.node} facts={facts} />;
}

function Panel({ layer, node, facts }: { layer: LayerType; node: string | null; facts: About | null }) {
  const { commands } = useShared();
  const own = layer.network ? null : facts;
  return (
    <div
      className="nl-popover nl-about"
      role="dialog"
      aria-label={`Help on ${layer.title}`}
      data-about={layer.type}
      style={{ "--c": layer.color } as React.CSSProperties}
    >
      <div className="nl-help-head">
        <b>
          {layer.title} <small>{layer.network ? "Network" : layer.group}</small>
        </b>
        <button className="nl-close" aria-label="Close" onClick={commands.tidy.closeAbout}>
          ×
        </button>
      </div>
      <p>{layer.summary}.</p>
      <Flow layer={layer} node={node} shapes={facts?.shapes ?? {}} />
      {own?.formula && <p className="nl-formula">{own.formula}</p>}
      {!!own?.fields.length && (
        <dl>
          {own.fields.map((field) => (
            <div key={field.name}>
              <dt>
                {field.name} <small>{[field.default, field.range].filter(Boolean).join(" · ")}</small>
              </dt>
              <dd>{field.text}</dd>
            </div>
          ))}
        </dl>
      )}
      {own?.url && (
        <a href={own.url} target="_blank" rel="noreferrer">
          {own.url.includes("arxiv.org") ? "Read the paper" : "Read more"} · {new URL(own.url).hostname}
        </a>
      )}
    </div>
  );
}

const ROW = 30;
const [WIDTH, BOX, SIDE] = [336, 88, 124];
const MOST = 6;
const LETTERS = 18;

/** The layer as a box, with what comes in on its left and what goes out on its right. */
function Flow({ layer, node, shapes }: { layer: LayerType; node: string | null; shapes: Record<string, string> }) {
  const { engine } = useShared();
  const arriving = useSlice("derived", (engine) => (node ? engine.data.derived.edges : null));
  const inputs = node ? inputsOf(engine, node) : layer.inputs;
  const outputs = node ? outputsOf(engine, node) : layer.outputs;
  const rows = Math.min(MOST, Math.max(inputs.length, outputs.length, 1));
  const height = rows * ROW + 8;
  const side = (ports: Port[], left: boolean, said: (port: Port) => string | undefined) =>
    ports.slice(0, MOST).map((port, place) => {
      const y = ((place + 0.5) * height) / Math.min(MOST, ports.length);
      const [from, to] = left ? [SIDE - 16, SIDE - 3] : [SIDE + BOX + 2, SIDE + BOX + 15];
      const hidden = place === MOST - 1 && ports.length > MOST;
      const text = hidden ? `${ports.length - MOST + 1} more` : (said(port) ?? port.kinds.join(", "));
      return (
        <g key={port.name}>
          <title>{[port.label ?? port.name, port.doc].filter(Boolean).join(": ")}</title>
          <path d={`M${from} ${y}H${to}m-4 -3l4 3l-4 3`} />
          <text x={left ? SIDE - 20 : SIDE + BOX + 20} y={y + (ports.length > 1 ? 9 : 4)} textAnchor={left ? "end" : "start"}>
            {text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}…` : text}
          </text>
          {ports.length > 1 && (
            <text className="nl-flow-name" x={left ? SIDE - 20 : SIDE + BOX + 20} y={y - 3} textAnchor={left ? "end" : "start"}>
              {port.label ?? port.name}
            </text>
          )}
        </g>
      );
    });
  const title = layer.title.length > 13 ? `${layer.title.slice(0, 12)}…` : layer.title;
  return (
    <svg className="nl-flow" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label="Inputs and outputs">
      {side(inputs, true, (port) => (node ? arriving?.[targetRef(node, port.name)]?.label || undefined : undefined))}
      <rect x={SIDE} y={4} width={BOX} height={height - 8} rx={8} />
      <text className="nl-flow-title" x={WIDTH / 2} y={height / 2 + 4} textAnchor="middle">
        {title}
      </text>
      {side(outputs, false, (port) => shapes[port.name])}
    </svg>
  );
}

// The help of a layer: its formula, its parameters, the shapes of its inputs and outputs, and a reference. Python sends
// it from the declaration of the layer when the panel opens.
import { useEffect, useRef } from "react";
import { targetRef } from "../core/graph";
import { layerKey } from "../core/networks";
import { inputsOf, outputsOf } from "../core/connectionRules";
import type { About, LayerType, Port } from "../core/generated";
import { useLayers, useCanvas, useDocument, useUiState } from "./context";

export function LayerHelp() {
  const { store, commands } = useCanvas();
  const layers = useLayers();
  const isOpen = useUiState((state) => state.panel === "layerHelp");
  const target = useUiState((state) => state.helpTarget);
  const selectedLayers = useUiState((state) => state.selectedLayers);
  const previousSelection = useRef(selectedLayers);
  useEffect(() => {
    // The panel follows the selection, so that users can browse a network.
    const hasChanged = previousSelection.current !== selectedLayers;
    previousSelection.current = selectedLayers;
    if (isOpen && hasChanged && selectedLayers && !selectedLayers.includes(" "))
      commands.selection.showNodeHelp(selectedLayers);
  }, [isOpen, selectedLayers, commands]);
  const reply = useDocument("derived", (store) => store.data.about);
  const layer = target?.node
    ? store.layerTypeOf(store.graph.nodes[target.node])
    : layers.find((candidate) => layerKey(candidate) === target?.key);
  if (!isOpen || !target || !layer) return null;
  const help = reply?.type === layer.type && reply.node === target.node ? reply : null;
  return <HelpPanel layer={layer} node={target.node} help={help} />;
}

function HelpPanel({ layer, node, help }: { layer: LayerType; node: string | null; help: About | null }) {
  const { commands } = useCanvas();
  const layerHelp = layer.network ? null : help;
  return (
    <div
      className="nl-popover nl-layer-help"
      role="dialog"
      aria-label={`Help on ${layer.title}`}
      data-about={layer.type}
      style={{ "--c": layer.color } as React.CSSProperties}
    >
      <div className="nl-popover-head">
        <b>
          {layer.title} <small>{layer.network ? "Network" : layer.group}</small>
        </b>
        <button className="nl-close" aria-label="Close" onClick={commands.selection.closeHelp}>
          ×
        </button>
      </div>
      <p>{layer.summary}.</p>
      <PortDiagram layer={layer} node={node} shapes={help?.shapes ?? {}} />
      {layerHelp?.formula && <p className="nl-formula">{layerHelp.formula}</p>}
      {!!layerHelp?.fields.length && (
        <dl>
          {layerHelp.fields.map((field) => (
            <div key={field.name}>
              <dt>
                {field.name} <small>{[field.default, field.range].filter(Boolean).join(" · ")}</small>
              </dt>
              <dd>{field.text}</dd>
            </div>
          ))}
        </dl>
      )}
      {layerHelp?.url && (
        <a href={layerHelp.url} target="_blank" rel="noreferrer">
          {layerHelp.url.includes("arxiv.org") ? "Read the paper" : "Read more"} · {new URL(layerHelp.url).hostname}
        </a>
      )}
    </div>
  );
}

const ROW_HEIGHT = 30;
const [WIDTH, BOX_WIDTH, LABEL_WIDTH] = [336, 88, 124];
const MAX_PORTS = 6;
const MAX_LABEL_LENGTH = 18;

/** The layer as a box, with its inputs on the left and its outputs on the right. */
function PortDiagram({
  layer,
  node,
  shapes,
}: {
  layer: LayerType;
  node: string | null;
  shapes: Record<string, string>;
}) {
  const { store } = useCanvas();
  const edges = useDocument("derived", (store) => (node ? store.data.derived.edges : null));
  const inputs = node ? inputsOf(store, node) : layer.inputs;
  const outputs = node ? outputsOf(store, node) : layer.outputs;
  const rows = Math.min(MAX_PORTS, Math.max(inputs.length, outputs.length, 1));
  const height = rows * ROW_HEIGHT + 8;
  const portLabels = (ports: Port[], isInput: boolean, labelOf: (port: Port) => string | undefined) =>
    ports.slice(0, MAX_PORTS).map((port, index) => {
      const y = ((index + 0.5) * height) / Math.min(MAX_PORTS, ports.length);
      const [from, to] = isInput
        ? [LABEL_WIDTH - 16, LABEL_WIDTH - 3]
        : [LABEL_WIDTH + BOX_WIDTH + 2, LABEL_WIDTH + BOX_WIDTH + 15];
      const isOverflow = index === MAX_PORTS - 1 && ports.length > MAX_PORTS;
      const text = isOverflow ? `${ports.length - MAX_PORTS + 1} more` : (labelOf(port) ?? port.kinds.join(", "));
      return (
        <g key={port.name}>
          <title>{[port.label ?? port.name, port.doc].filter(Boolean).join(": ")}</title>
          <path d={`M${from} ${y}H${to}m-4 -3l4 3l-4 3`} />
          <text
            x={isInput ? LABEL_WIDTH - 20 : LABEL_WIDTH + BOX_WIDTH + 20}
            y={y + (ports.length > 1 ? 9 : 4)}
            textAnchor={isInput ? "end" : "start"}
          >
            {text.length > MAX_LABEL_LENGTH ? `${text.slice(0, MAX_LABEL_LENGTH - 1)}…` : text}
          </text>
          {ports.length > 1 && (
            <text
              className="nl-port-diagram-name"
              x={isInput ? LABEL_WIDTH - 20 : LABEL_WIDTH + BOX_WIDTH + 20}
              y={y - 3}
              textAnchor={isInput ? "end" : "start"}
            >
              {port.label ?? port.name}
            </text>
          )}
        </g>
      );
    });
  const title = layer.title.length > 13 ? `${layer.title.slice(0, 12)}…` : layer.title;
  return (
    <svg className="nl-port-diagram" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label="Inputs and outputs">
      {portLabels(inputs, true, (port) => (node ? edges?.[targetRef(node, port.name)]?.label || undefined : undefined))}
      <rect x={LABEL_WIDTH} y={4} width={BOX_WIDTH} height={height - 8} rx={8} />
      <text className="nl-port-diagram-title" x={WIDTH / 2} y={height / 2 + 4} textAnchor="middle">
        {title}
      </text>
      {portLabels(outputs, false, (port) => shapes[port.name])}
    </svg>
  );
}

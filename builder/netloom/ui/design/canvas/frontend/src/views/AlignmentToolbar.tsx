// Buttons that align the selected layers. They appear if at least two are selected.
import { memo } from "react";
import type { Direction, Side } from "../core/alignment";
import { useCanvas, useUiState } from "./context";
import { Icon, type IconName } from "./icons";

export const ALIGNMENTS: [Side, string, string][] = [
  ["left", "Align left", "Alt + A"],
  ["center", "Align centers", "Alt + H"],
  ["right", "Align right", "Alt + D"],
  ["top", "Align top", "Alt + W"],
  ["middle", "Align middles", "Alt + V"],
  ["bottom", "Align bottom", "Alt + S"],
];
export const DISTRIBUTIONS: [Direction, string, string][] = [
  ["horizontal", "Distribute horizontally", "Alt + Shift + H"],
  ["vertical", "Distribute vertically", "Alt + Shift + V"],
];

export const AlignmentToolbar = memo(() => {
  const { commands } = useCanvas();
  const { selection } = commands;
  const count = useUiState((state) => state.selectedLayers.split(" ").length);
  if (count < 2) return null;
  return (
    <div className="nl-alignment" role="toolbar" aria-label="Align" onMouseDown={(event) => event.preventDefault()}>
      {ALIGNMENTS.map(([side, title, keys]) => (
        <AlignmentButton key={side} name={side} title={`${title} (${keys})`} run={() => selection.align(side)} />
      ))}
      {count > 2 &&
        DISTRIBUTIONS.map(([direction, title, keys]) => (
          <AlignmentButton
            key={direction}
            name={direction}
            title={`${title} (${keys})`}
            run={() => selection.distribute(direction)}
          />
        ))}
    </div>
  );
});

const AlignmentButton = ({ name, title, run }: { name: IconName; title: string; run: () => void }) => (
  <button className="nl-tool" data-action={`align-${name}`} title={title} aria-label={title} onClick={run}>
    <Icon name={name} />
  </button>
);

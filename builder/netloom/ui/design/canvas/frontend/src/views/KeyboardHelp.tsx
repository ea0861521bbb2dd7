// The list of keyboard shortcuts.
const SHORTCUTS: [string, string][] = [
  ["A or /", "add a layer after the selection"],
  ["Double click", "add a layer at the pointer"],
  ["C", "connect the selected layer"],
  ["Enter or F2", "rename the selected layer"],
  ["Enter, U", "open a subnetwork, go back"],
  ["Ctrl + G, Ctrl + Shift + G", "group, ungroup"],
  ["Arrow keys", "select the next layer"],
  ["Alt + arrows", "move the selection"],
  ["Delete", "remove the selection"],
  ["Ctrl + Z, Ctrl + Shift + Z", "undo, redo"],
  ["Ctrl + C, X, V", "copy, cut, paste"],
  ["Ctrl + D", "duplicate"],
  ["Ctrl + A", "select all"],
  ["Shift + drag", "box selection"],
  ["I", "layer help"],
  ["Right click, Shift + F10", "context menu"],
  ["E", "select the layer’s next edge"],
  ["G", "add a frame around the selection"],
  ["Alt + A, H, D", "align left, centers, right"],
  ["Alt + W, V, S", "align top, middles, bottom"],
  ["Alt + Shift + H, V", "distribute"],
  ["L, F, M, N", "arrange, fit view, minimap, note"],
  ["Esc", "deselect"],
];

export const KeyboardHelp = ({ onClose }: { onClose: () => void }) => (
  <div className="nl-popover nl-keyboard-help" role="dialog" aria-label="Keyboard shortcuts" data-help>
    <div className="nl-popover-head">
      <b>Keyboard and mouse</b>
      <button className="nl-close" aria-label="Close" onClick={onClose}>
        ×
      </button>
    </div>
    <dl>
      {SHORTCUTS.map(([keys, text]) => (
        <div key={keys}>
          <dt>{keys}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  </div>
);

// A note on the canvas, and what notes and frames share.
import { NodeResizer, NodeToolbar, Position, type NodeProps } from "@xyflow/react";
import { memo, useEffect, useRef } from "react";
import { COLORS, COLOR_LABELS } from "../core/frames";
import type { Color, NoteRecord } from "../core/generated";
import { useCanvas, useUiState } from "./context";
import type { NoteFlowNode } from "./flowElements";

export const NoteNode = memo(({ id, data: { record }, selected }: NodeProps<NoteFlowNode>) => {
  const { commands } = useCanvas();
  const isEditing = useUiState((state) => state.editedId === id);
  const textarea = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (isEditing) textarea.current?.focus();
  }, [isEditing]);
  const { changeNote, resizeHandlers } = useNote(id, record);
  return (
    <div
      className={`nl-note${selected ? " selected" : ""}`}
      style={{ "--c": COLORS[record.color] } as React.CSSProperties}
      data-note={id}
    >
      <NodeResizer isVisible={selected} minWidth={80} minHeight={50} {...resizeHandlers} />
      {selected && <Swatches color={record.color} onPick={(color) => changeNote({ color })} />}
      {isEditing ? (
        <textarea
          ref={textarea}
          className="nodrag nowheel"
          defaultValue={record.text}
          aria-label="Note"
          maxLength={20000}
          onKeyDown={(event) => {
            event.stopPropagation();
            if (event.key === "Escape") textarea.current?.blur();
          }}
          onBlur={() => {
            const text = textarea.current?.value ?? "";
            if (text !== record.text) changeNote({ text });
            commands.stopEditing();
          }}
        />
      ) : (
        <div className="nl-note-text">{record.text || "Double-click to edit"}</div>
      )}
    </div>
  );
});

/** The edit of a note or frame, and the handlers of its resizer. */
export function useNote(id: string, record: NoteRecord) {
  const { store, commands } = useCanvas();
  const changeNote = (update: Partial<NoteRecord>) =>
    commands.apply({ kind: "note", id, note: { ...(store.graph.notes[id] ?? record), ...update } });
  const onResizeStart = () => store.beginInteraction();
  const onResizeEnd = (_: unknown, bounds: { x: number; y: number; width: number; height: number }) => {
    const at: [number, number] = [Math.round(bounds.x), Math.round(bounds.y)];
    changeNote({ at, width: Math.round(bounds.width), height: Math.round(bounds.height) });
    store.endInteraction();
  };
  return { changeNote, resizeHandlers: { onResizeStart, onResizeEnd } };
}

type SwatchesProps = { color: Color; onPick: (color: Color) => void };

/** The colors. A toolbar lies above all layers, unlike the frame, and its size does not depend on the zoom. */
export const Swatches = ({ color, onPick }: SwatchesProps) => (
  <NodeToolbar
    isVisible // also if several nodes are selected
    position={Position.Top}
    align="start"
    offset={6}
    className="nl-swatches nodrag nopan"
    role="group"
    aria-label="Color"
    onMouseDown={(event) => event.preventDefault()}
  >
    {Object.entries(COLORS).map(([name, value]) => (
      <button
        key={name}
        data-color={name}
        title={COLOR_LABELS[name as Color]}
        aria-label={COLOR_LABELS[name as Color]}
        aria-pressed={name === color}
        style={{ background: value }}
        onClick={() => onPick(name as Color)}
      />
    ))}
  </NodeToolbar>
);

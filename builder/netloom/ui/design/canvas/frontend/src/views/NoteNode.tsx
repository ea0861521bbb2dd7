import { NodeResizer, NodeToolbar, Position, type NodeProps } from "@xyflow/react";
import { memo, useEffect, useRef } from "react";
import { COLORS } from "../core/frames";
import type { Color, NoteRecord } from "../core/generated";
import { useShared, useUi } from "./context";
import type { NoteFlowNode } from "./flowElements";

export const NoteNode = memo(({ id, data: { record }, selected }: NodeProps<NoteFlowNode>) => {
  const { commands } = useShared();
  const editing = useUi((state) => state.editing === id);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (editing) area.current?.focus();
  }, [editing]);
  const { change, resize } = useNote(id, record);
  return (
    <div
      className={`nl-note${selected ? " selected" : ""}`}
      style={{ "--c": COLORS[record.color] } as React.CSSProperties}
      data-note={id}
    >
      <NodeResizer isVisible={selected} minWidth={80} minHeight={50} {...resize} />
      {selected && <Swatches color={record.color} onPick={(color) => change({ color })} />}
      {editing ? (
        <textarea
          ref={area}
          className="nodrag nowheel"
          defaultValue={record.text}
          aria-label="Note"
          maxLength={20000}
          onKeyDown={(event) => {
            event.stopPropagation();
            if (event.key === "Escape") area.current?.blur();
          }}
          onBlur={() => {
            const text = area.current?.value ?? "";
            if (text !== record.text) change({ text });
            commands.stopEditing();
          }}
        />
      ) : (
        <div className="nl-note-text">{record.text || "Double-click to write"}</div>
      )}
    </div>
  );
});

/** How a remark or a frame is changed, and what its resizer does. */
export function useNote(id: string, record: NoteRecord) {
  const { engine, commands } = useShared();
  const change = (update: Partial<NoteRecord>) =>
    commands.apply({ kind: "note", id, note: { ...(engine.graph.notes[id] ?? record), ...update } });
  const onResizeStart = () => engine.hold();
  const onResizeEnd = (_: unknown, box: { x: number; y: number; width: number; height: number }) => {
    const at: [number, number] = [Math.round(box.x), Math.round(box.y)];
    change({ at, width: Math.round(box.width), height: Math.round(box.height) });
    engine.release();
  };
  return { change, resize: { onResizeStart, onResizeEnd } };
}

type SwatchesProps = { color: Color; onPick: (color: Color) => void };

/** The colours, above all layers, as a frame lies below them; and of one size, however far away the canvas is seen. */
export const Swatches = ({ color, onPick }: SwatchesProps) => (
  <NodeToolbar
    isVisible // also where several are selected
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
        title={name}
        aria-label={name}
        aria-pressed={name === color}
        style={{ background: value }}
        onClick={() => onPick(name as Color)}
      />
    ))}
  </NodeToolbar>
);

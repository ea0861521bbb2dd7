import { NodeResizer, type Node, type NodeProps } from "@xyflow/react";
import { memo, useEffect, useRef } from "react";
import type { NoteRecord } from "../core/types";
import { useShared, useUi } from "./context";

export type NoteFlowNode = Node<{ record: NoteRecord }, "note">;

export const NoteNode = memo(({ id, data: { record }, selected }: NodeProps<NoteFlowNode>) => {
  const { engine, commands } = useShared();
  const editing = useUi((state) => state.editing === id);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (editing) area.current?.focus();
  }, [editing]);
  const change = (update: Partial<NoteRecord>) =>
    commands.apply({ kind: "note", id, note: { ...(engine.graph.notes[id] ?? record), ...update } });
  return (
    <div className={`nl-note${selected ? " selected" : ""}`} data-note={id}>
      <NodeResizer
        isVisible={selected}
        minWidth={80}
        minHeight={50}
        onResizeStart={() => engine.hold()}
        onResizeEnd={(_, box) => {
          change({
            at: [Math.round(box.x), Math.round(box.y)],
            width: Math.round(box.width),
            height: Math.round(box.height),
          });
          engine.release();
        }}
      />
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

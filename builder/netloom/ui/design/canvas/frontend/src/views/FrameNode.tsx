// A frame around layers, with a title and a color. Folded, it is a box with the edges across its border.
import { Handle, NodeResizer, Position, useUpdateNodeInternals, type NodeProps } from "@xyflow/react";
import { memo, useEffect, useRef } from "react";
import { COLORS, isFolded, frameMembers } from "../core/frames";
import { useCanvas, useDocument, useUiState } from "./context";
import { Icon } from "./icons";
import { Swatches, useNote } from "./NoteNode";
import type { FrameFlowNode } from "./flowElements";

export const FrameNode = memo(({ id, data: { record }, selected }: NodeProps<FrameFlowNode>) => {
  const isCollapsed = isFolded(record);
  const { store, commands } = useCanvas();
  const { changeNote, resizeHandlers } = useNote(id, record);
  const isEditing = useUiState((state) => state.editedId === id);
  const count = useDocument(
    "graph",
    () => frameMembers(store.graph, id).filter((member) => member in store.graph.nodes).length,
  );
  const updateInternals = useUpdateNodeInternals();
  const wasCollapsed = useRef(false);
  useEffect(() => {
    if (wasCollapsed.current !== isCollapsed) updateInternals(id); // only a folded frame has handles
    wasCollapsed.current = isCollapsed;
  }, [isCollapsed, id, updateInternals]);
  const toggleText = isCollapsed ? "Unfold" : "Fold";
  return (
    <div
      className={`nl-frame${isCollapsed ? " folded" : ""}${selected ? " selected" : ""}`}
      style={{ "--c": COLORS[record.color] } as React.CSSProperties}
      data-frame={id}
    >
      {!isCollapsed && <NodeResizer isVisible={selected} minWidth={160} minHeight={90} {...resizeHandlers} />}
      {isCollapsed && (
        <Handle id="in" type="target" position={Position.Top} isConnectable={false} className="nl-fold-port" />
      )}
      <div className="nl-frame-head">
        <button
          className="nl-close nodrag"
          data-fold={id}
          title={toggleText}
          aria-label={`${toggleText} ${record.text}`.trim()}
          aria-expanded={!isCollapsed}
          onClick={() => commands.selection.toggleFold(id)}
        >
          <Icon name="chevron" />
        </button>
        {isEditing ? (
          <TitleInput text={record.text} onDone={(text) => text !== record.text && changeNote({ text })} />
        ) : (
          <b>{record.text || "Frame"}</b>
        )}
        {isCollapsed && <small>{count === 1 ? "1 layer" : `${count} layers`}</small>}
      </div>
      {selected && !isCollapsed && <Swatches color={record.color} onPick={(color) => changeNote({ color })} />}
      {isCollapsed && (
        <Handle id="out" type="source" position={Position.Bottom} isConnectable={false} className="nl-fold-port" />
      )}
    </div>
  );
});

function TitleInput({ text, onDone }: { text: string; onDone: (text: string) => void }) {
  const { commands } = useCanvas();
  const input = useRef<HTMLInputElement>(null);
  const isDone = useRef(false);
  useEffect(() => {
    input.current?.focus({ preventScroll: true });
    input.current?.select();
  }, []);
  const finish = (isConfirmed: boolean) => {
    if (isDone.current) return; // the input is blurred again when it unmounts
    isDone.current = true;
    if (isConfirmed) onDone(input.current?.value.trim().slice(0, 200) ?? "");
    commands.stopEditing();
  };
  return (
    <input
      ref={input}
      className="nl-title-input nodrag"
      defaultValue={text}
      placeholder="Title"
      aria-label="Title of the frame"
      maxLength={200}
      onBlur={() => finish(true)}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish(true);
        if (event.key === "Escape") finish(false);
      }}
    />
  );
}

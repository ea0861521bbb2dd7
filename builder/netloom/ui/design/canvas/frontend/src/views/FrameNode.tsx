// A frame around layers: a title and a colour. Folded, it is a box with the edges that lead in and out.
import { Handle, NodeResizer, Position, useUpdateNodeInternals, type NodeProps } from "@xyflow/react";
import { memo, useEffect, useRef } from "react";
import { COLORS, isFolded, members } from "../core/frames";
import { useShared, useSlice, useUi } from "./context";
import { Icon } from "./icons";
import { Swatches, useNote } from "./NoteNode";
import type { FrameFlowNode } from "./flowElements";

export const FrameNode = memo(({ id, data: { record }, selected }: NodeProps<FrameFlowNode>) => {
  const folded = isFolded(record);
  const { engine, commands } = useShared();
  const { change, resize } = useNote(id, record);
  const editing = useUi((state) => state.editing === id);
  const count = useSlice("graph", () => members(engine.graph, id).filter((found) => found in engine.graph.nodes).length);
  const measure = useUpdateNodeInternals();
  const known = useRef(false);
  useEffect(() => {
    if (known.current !== folded) measure(id); // its ports come and go
    known.current = folded;
  }, [folded, id, measure]);
  const say = folded ? "Unfold" : "Fold";
  return (
    <div
      className={`nl-frame${folded ? " folded" : ""}${selected ? " selected" : ""}`}
      style={{ "--c": COLORS[record.color] } as React.CSSProperties}
      data-frame={id}
    >
      {!folded && <NodeResizer isVisible={selected} minWidth={160} minHeight={90} {...resize} />}
      {folded && <Handle id="in" type="target" position={Position.Top} isConnectable={false} className="nl-fold-port" />}
      <div className="nl-frame-head">
        <button
          className="nl-close nodrag"
          data-fold={id}
          title={say}
          aria-label={`${say} ${record.text}`.trim()}
          aria-expanded={!folded}
          onClick={() => commands.tidy.fold(id)}
        >
          <Icon name="chevron" />
        </button>
        {editing ? (
          <TitleInput text={record.text} onDone={(text) => text !== record.text && change({ text })} />
        ) : (
          <b>{record.text || "Frame"}</b>
        )}
        {folded && <small>{count === 1 ? "1 layer" : `${count} layers`}</small>}
      </div>
      {selected && !folded && <Swatches color={record.color} onPick={(color) => change({ color })} />}
      {folded && <Handle id="out" type="source" position={Position.Bottom} isConnectable={false} className="nl-fold-port" />}
    </div>
  );
});

function TitleInput({ text, onDone }: { text: string; onDone: (text: string) => void }) {
  const { commands } = useShared();
  const input = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  useEffect(() => {
    input.current?.focus({ preventScroll: true });
    input.current?.select();
  }, []);
  const finish = (keep: boolean) => {
    if (done.current) return; // the field loses the focus when it goes
    done.current = true;
    if (keep) onDone(input.current?.value.trim().slice(0, 200) ?? "");
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

// The networks through which users opened the visible one, as breadcrumbs.
import { memo } from "react";
import { useCanvas, useDocument, useUiState } from "./context";

export const Breadcrumbs = memo(() => {
  const { commands } = useCanvas();
  const network = useDocument("graph", (store) => store.network);
  const names = useDocument("derived", ({ data }) => data.networks.map((facts) => facts.name));
  const path = useUiState((state) => state.breadcrumbs).filter((name) => names.includes(name) && name !== network);
  if (!path.length) return null;
  return (
    <nav className="nl-breadcrumbs" aria-label="Path of this network" data-crumbs>
      <ol>
        {path.map((name, index) => (
          <li key={name}>
            <button
              data-crumb={name}
              title={`Back to ${name}`}
              onClick={() => commands.openNetwork(name, path.slice(0, index))}
            >
              {name}
            </button>
          </li>
        ))}
        <li aria-current="page">
          <b>{network}</b>
        </li>
      </ol>
    </nav>
  );
});

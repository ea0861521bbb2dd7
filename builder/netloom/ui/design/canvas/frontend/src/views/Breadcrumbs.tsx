// The way by which one came to the network that is shown: a network in a network in main, each of them one click away.
import { memo } from "react";
import { useShared, useSlice, useUi } from "./context";

export const Crumbs = memo(() => {
  const { commands } = useShared();
  const shown = useSlice("graph", (engine) => engine.network);
  const names = useSlice("derived", ({ data }) => data.networks.map((facts) => facts.name));
  const trail = useUi((state) => state.trail).filter((name) => names.includes(name) && name !== shown);
  if (!trail.length) return null;
  return (
    <nav className="nl-crumbs" aria-label="Path of this network" data-crumbs>
      <ol>
        {trail.map((name, place) => (
          <li key={name}>
            <button data-crumb={name} title={`Back to ${name}`} onClick={() => commands.openNetwork(name, trail.slice(0, place))}>
              {name}
            </button>
          </li>
        ))}
        <li aria-current="page">
          <b>{shown}</b>
        </li>
      </ol>
    </nav>
  );
});

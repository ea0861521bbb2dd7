// Line icons of 16 by 16 pixels, drawn for this canvas.
const PATHS = {
  undo: "M6 4 3 7l3 3M3 7h6a4 4 0 0 1 0 8H7",
  redo: "m10 4 3 3-3 3M13 7H7a4 4 0 0 0 0 8h2",
  layout: "M6 2h4v3H6zM2 11h4v3H2zM10 11h4v3h-4zM8 5v3M4 11V8h8v3",
  fit: "M2 6V2h4M14 6V2h-4M2 10v4h4M14 10v4h-4",
  note: "M3 2h10v8l-4 4H3zM9 14v-4h4",
  map: "M2 3h12v10H2zM8 8h4v3H8z",
  help: "M6 6a2 2 0 1 1 2.6 1.9c-.4.2-.6.5-.6.9v.7M8 12v.5",
  select: "M3 3h2M7 3h2M11 3h2v2M13 7v2M13 11v2h-2M9 13H7M5 13H3v-2M3 9V7M3 5V3",
  lock: "M4 7h8v6H4zM6 7V5a2 2 0 0 1 4 0v2",
  search: "M7 3a4 4 0 1 1 0 8 4 4 0 0 1 0-8M10 10l3.5 3.5",
  layers: "M2 4h12M2 8h12M2 12h12",
  plus: "M8 3v10M3 8h10",
  back: "m9.5 3.5-4.5 4.5 4.5 4.5",
  chevron: "m4 6 4 4 4-4",
  group: "M2 2h12v12H2zM5 5h3v3H5zM8 8h3v3H8z",
  unpack: "M6 2H2v4M10 2h4v4M6 14H2v-4M10 14h4v-4M6 6h4v4H6z",
  enter: "M9 3h4v10H9M2 8h7M6.5 5 9.5 8l-3 3",
  link: "M6.5 9.5a2.5 2.5 0 0 0 3.5 0l2-2A2.5 2.5 0 0 0 8.5 4l-1 1M9.5 6.5a2.5 2.5 0 0 0-3.5 0l-2 2A2.5 2.5 0 0 0 7.5 12l1-1",
  frame: "M2 5h12v9H2zM2 5V2h6v3",
  more: "M3 8h.1M8 8h.1M13 8h.1",
  info: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11M8 7.5v3M8 5.3v.1",
  star: "m8 2.5 1.7 3.5 3.8.5-2.8 2.7.7 3.8L8 11.2 4.6 13l.7-3.8L2.5 6.5l3.8-.5z",
  left: "M2.5 2v12M5 4h8v3H5zM5 9.5h5v3H5z",
  center: "M8 2v2M8 7v2.5M8 12.5V14M3 4h10v3H3zM5 9.5h6v3H5z",
  right: "M13.5 2v12M3 4h8v3H3zM6 9.5h5v3H6z",
  top: "M2 2.5h12M4 5h3v8H4zM9.5 5h3v5h-3z",
  middle: "M2 8h2M7 8h2.5M12.5 8H14M4 3h3v10H4zM9.5 5h3v6h-3z",
  bottom: "M2 13.5h12M4 3h3v8H4zM9.5 6h3v5h-3z",
  horizontal: "M2.5 2v12M13.5 2v12M6 5h4v6H6z",
  vertical: "M2 2.5h12M2 13.5h12M5 6h6v4H5z",
} as const;
export type IconName = keyof typeof PATHS;

export const Icon = ({ name, title }: { name: IconName; title?: string }) => (
  <svg className="nl-icon" viewBox="0 0 16 16" aria-hidden={!title}>
    {title && <title>{title}</title>}
    <path d={PATHS[name]} />
  </svg>
);

// Palette preferences in localStorage: favorites, recent layers, open groups and the filter.
const MAX_RECENT = 6;
/** Keys in localStorage. Renaming one would lose the stored list. */
type Key = "recent" | "open" | "favourites" | "fitting";

function read(key: Key): string[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(`netloom.${key}`) ?? "[]");
    return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
  } catch {
    return []; // the browser may deny access
  }
}

/** A list of names that persists in the browser. */
class StoredList {
  private names: string[];
  private listeners = new Set<() => void>();

  constructor(private key: Key) {
    this.names = read(key);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get = (): string[] => this.names;

  set(names: string[]): void {
    this.names = names;
    try {
      localStorage.setItem(`netloom.${this.key}`, JSON.stringify(names));
    } catch {
      // see read
    }
    for (const listener of this.listeners) listener();
  }
}

export const recent = new StoredList("recent");
export const openGroups = new StoredList("open");
export const favorites = new StoredList("favourites");
/** Not empty if the palette shows only compatible layers. */
export const compatibleOnly = new StoredList("fitting");

export function addRecent(type: string): void {
  const names = recent.get();
  // A recent layer keeps its place, so that the list does not move under the pointer.
  if (!names.includes(type)) recent.set([type, ...names].slice(0, MAX_RECENT));
}

/** Add a name to a list, or remove it. */
export const toggleName = (list: StoredList, name: string): void => {
  const names = list.get();
  list.set(names.includes(name) ? names.filter((stored) => stored !== name) : [...names, name]);
};

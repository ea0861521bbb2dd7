// What this browser remembers of how the palette is used: favourites, layers added last, and groups that are open.
const MAX_RECENT = 6;
type Key = "recent" | "open" | "favourites" | "fitting";

function read(key: Key): string[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(`netloom.${key}`) ?? "[]");
    return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
  } catch {
    return []; // a browser may forbid it, and then nothing is remembered
  }
}

/** A list of names that outlives the page. */
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
/** Not empty where the palette shows only what fits. */
export const compatibleOnly = new StoredList("fitting");

export function addRecent(type: string): void {
  const names = recent.get();
  // The order stays while one works with the same few, or they would jump under the pointer.
  if (!names.includes(type)) recent.set([type, ...names].slice(0, MAX_RECENT));
}

/** Take a name into a list, or out of it. */
export const toggleName = (list: StoredList, name: string): void => {
  const names = list.get();
  list.set(names.includes(name) ? names.filter((stored) => stored !== name) : [...names, name]);
};

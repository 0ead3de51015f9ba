// Who types where, for as long as it is likely; and telling that oneself does, not at every key.
import { signal } from "@preact/signals";

const shownMs = 5_000;
const tellEveryMs = 3_000;

export class Typing {
  readonly users = signal<Map<string, Map<string, number>>>(new Map());
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private toldAtMs = 0;

  constructor(private readonly tell: (id: string) => void) {}

  begin(id: string, user: string): void {
    this.users.value = new Map(this.users.value).set(id, new Map(this.users.value.get(id)).set(user, Date.now()));
    const key = `${id} ${user}`;
    clearTimeout(this.timers.get(key));
    this.timers.set(key, setTimeout(() => this.end(id, user), shownMs));
  }

  end(id: string, user: string): void {
    clearTimeout(this.timers.get(`${id} ${user}`));
    this.timers.delete(`${id} ${user}`);
    if (!this.users.value.get(id)?.has(user)) return;
    const users = new Map(this.users.value.get(id));
    users.delete(user);
    this.users.value = new Map(this.users.value).set(id, users);
  }

  // Oneself pressed a key there.
  tellOwn(id: string): void {
    if (Date.now() - this.toldAtMs < tellEveryMs) return;
    this.toldAtMs = Date.now();
    this.tell(id);
  }

  // Something was sent: what is typed next is news.
  endOwn(): void {
    this.toldAtMs = 0;
  }

  close(): void {
    this.timers.forEach(clearTimeout);
  }
}

// Who belongs to the conversations one looked at, and how far they have read.
import { signal } from "@preact/signals";
import type { Member, Receipt } from "./types";

export class Members {
  readonly lists = signal<Map<string, Member[]>>(new Map());

  set(id: string, members: Member[]): void {
    this.lists.value = new Map(this.lists.value).set(id, members);
  }

  // Pointers never go back.
  onReceipt(r: Receipt): void {
    const moved = (m: Member) => ({ ...m, read_seq: Math.max(m.read_seq, r.read_seq), delivered_seq: Math.max(m.delivered_seq, r.delivered_seq) });
    const list = this.lists.value.get(r.conversation_id) ?? [];
    this.set(r.conversation_id, list.map((m) => (m.user_id === r.user_id ? moved(m) : m)));
  }

  put(member: Member): void {
    const list = this.lists.value.get(member.conversation_id);
    if (!list) return;
    const others = list.filter((m) => m.user_id !== member.user_id);
    this.set(member.conversation_id, member.state === "active" ? [...others, member] : others);
  }
}

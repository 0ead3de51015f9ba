// What one does to messages and conversations: each asks the server, throws what it says, and takes its answer over.
import type { Content, Conversation, Message, Own } from "./types";

export abstract class StoreDeeds {
  abstract request<T>(name: string, body: object): Promise<T>;
  // A conversation as an answer brought it.
  abstract adopt(c: Conversation): void;
  abstract reload(id: string): Promise<void>;
  protected abstract dropMessages(id: string, seqs: number[]): Promise<void>;

  async edit(m: Message, content: Content): Promise<void> {
    await this.request("edit_message", { id: m.conversation_id, seq: m.seq, content });
  }

  // Deleted for oneself: gone from what this page holds.
  async hide(id: string, seqs: number[]): Promise<void> {
    await this.request("delete_for_me", { id, seqs });
    await this.dropMessages(id, seqs);
  }

  // What is one's own of a conversation: quiet_until_ms, is_pinned, is_archived, draft.
  async setOwn(id: string, fields: Partial<Own>): Promise<void> {
    this.adopt(await this.request<Conversation>("set_own", { id, ...fields }));
  }

  async recall(m: Message): Promise<void> {
    await this.request("recall_message", { id: m.conversation_id, seq: m.seq });
  }

  async react(m: Message, emoji: string): Promise<void> {
    const is_removed = m.reactions?.some((r) => r.emoji === emoji && r.is_mine) ?? false;
    await this.request("react", { id: m.conversation_id, seq: m.seq, emoji, is_removed });
  }

  // `clientId` is the wish's, however often it is tried: an answer that got lost makes no second group.
  async createGroup(clientId: string, title: string, userIds: string[], kind: "group" | "channel" = "group"): Promise<string> {
    const c = await this.request<Conversation>("create_group", { kind, title, user_ids: userIds, client_id: clientId });
    this.adopt(c);
    return c.id;
  }

  async leaveGroup(id: string): Promise<void> {
    await this.request("leave_group", { id });
    await this.reload(id);
  }
}

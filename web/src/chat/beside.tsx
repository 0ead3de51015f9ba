// The chat of a meeting beside the meeting: the same thread and composer, for the signed-in with their own store, for guests
// with one that lives as long as their place in the meeting and keeps nothing.
import { computed, effect, signal } from "@preact/signals";
import { X } from "lucide-preact";
import { signedIn } from "../app/api";
import { errorCode } from "../app/errors";
import type { Member as Participant } from "../app/types";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { Conversation } from "./conversation";
import { knowAs } from "./people";
import { chatStore } from "./current-store";
import { ChatStore } from "./store";

// The chat hears of who comes in a moment after they are in.
const askAgainMs = 700;

export interface MeetingPlace {
  meetingId: string;
  userId: () => string;
  // A guest's token, "" for the signed-in.
  guestToken: () => string;
  members: { readonly value: ReadonlyMap<string, Participant> };
}

export class Beside {
  readonly store: ChatStore;
  readonly id = signal("");
  readonly unreadCount = computed(() => this.store.conversations.value.get(this.id.value)?.own?.unread_count ?? 0);
  readonly lastSeq = computed(() => this.store.conversations.value.get(this.id.value)?.last_seq ?? 0);
  private readonly isGuest: boolean;
  private isOver = false;
  private readonly stops: (() => void)[];

  constructor(private readonly place: MeetingPlace) {
    this.isGuest = place.guestToken() !== "" || !signedIn.peek();
    this.store = this.isGuest ? new ChatStore(place.userId(), place.guestToken) : chatStore();
    this.stops = [
      effect(() => this.learn([...place.members.value.values()])),
      effect(() => {
        const isKnown = this.store.conversations.value.has(this.id.value);
        if (this.store.link.value === "open" && !isKnown) void this.find();
      }),
    ];
  }

  // Where the talk goes on when the meeting is over; "": nothing was said, or one has no account.
  get path(): string {
    return !this.isGuest && this.lastSeq.peek() > 0 ? `/c/${this.id.peek()}` : "";
  }

  close(): void {
    this.isOver = true;
    for (const stop of this.stops) stop();
    if (this.isGuest) this.store.close();
  }

  // Guests have no profiles, nor may they ask for those of others: the meeting knows what all are called.
  private learn(members: Participant[]): void {
    for (const m of members) if (m.user_id && (this.isGuest || m.is_guest)) knowAs(m.user_id, m.name, m.avatar_url);
  }

  private async find(): Promise<void> {
    try {
      this.id.value = await this.store.findMeeting(this.place.meetingId);
    } catch (error) {
      if (errorCode(error) === "not_found" && !this.isOver) setTimeout(() => !this.isOver && void this.find(), askAgainMs);
    }
  }
}

export function BesidePanel({ beside, onClose }: { beside: Beside; onClose: () => void }) {
  const id = beside.id.value;
  return (
    <aside class="panel chat-beside" aria-label={t("chatBeside.title")}>
      <header class="panel-head">
        <h2>{t("chatBeside.title")}</h2>
        <IconButton icon={X} label={t("close")} onClick={onClose} />
      </header>
      <div class="chat-beside-body">
        {id ? <Conversation key={id} store={beside.store} id={id} atSeq={0} isBeside /> : <p class="chat-hint">{t("loading")}</p>}
      </div>
    </aside>
  );
}

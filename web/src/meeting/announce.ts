// What happens in the room, for those who do not see it: joins and leaves gathered over a moment, hands, screens.
import { locale, t } from "../i18n/i18n";
import { announce, toast } from "../ui/toast";
import type { EventFrame } from "./frames";
import type { Room } from "./room";

const gatherMs = 1_500;
const namesMost = 3;

class Gathered {
  private names = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | null = null;
  constructor(private readonly say: (names: string) => void) {}

  add(name: string): void {
    this.names.add(name);
    this.timer ??= setTimeout(() => {
      const all = [...this.names];
      this.names.clear();
      this.timer = null;
      const shown = all.length > namesMost ? [...all.slice(0, namesMost - 1), t("others", { count: all.length - namesMost + 1 })] : all;
      this.say(new Intl.ListFormat(locale()).format(shown));
    }, gatherMs);
  }
}

const joined = new Gathered((names) => announce(t("said.joined", { names })));
const left = new Gathered((names) => announce(t("said.left", { names })));
const knownNames = new Map<string, string>();
const raised = new Set<string>();

export function announceRoom(room: Room, frame: EventFrame): void {
  const selfId = room.selfId.value;
  if (frame.type === "participant_joined") {
    knownNames.set(frame.participant.id, frame.participant.name);
    if (frame.participant.id !== selfId) joined.add(frame.participant.name);
  } else if (frame.type === "participant_left") {
    const name = knownNames.get(frame.participant_id);
    raised.delete(frame.participant_id);
    if (name && frame.participant_id !== selfId) left.add(name);
  } else if (frame.type === "participant_changed") {
    const { id, name, is_hand_raised } = frame.participant;
    knownNames.set(id, name);
    if (is_hand_raised && !raised.has(id) && id !== selfId) {
      if (room.isModerator.value) toast(t("said.hand", { name }));
      else announce(t("said.hand", { name }));
    }
    if (is_hand_raised) raised.add(id);
    else raised.delete(id);
  } else if (frame.type === "participant_waiting") {
    announce(t("said.waiting", { name: frame.participant.name }));
  } else if (frame.type === "track_published" && frame.track.source === "screen" && frame.track.participant_id !== selfId) {
    announce(t("said.screen", { name: room.nameOf(frame.track.participant_id) }));
  }
}

// Beginning a conversation: with one person, or as a group with a name.
import { useState } from "preact/hooks";
import { errorText } from "../app/errors";
import type { Profile } from "../app/types";
import { t } from "../i18n/i18n";
import { PeoplePicker } from "../pages/people-picker";
import { Button, Field, Segmented } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { Wish } from "./ids";
import { know } from "./people";
import type { ChatStore } from "./store";

interface Props {
  store: ChatStore;
  isGroup: boolean;
  onClose: () => void;
  onMade: (id: string) => void;
}

export function NewChat({ store, isGroup, onClose, onMade }: Props) {
  const [people, setPeople] = useState<Profile[]>([]);
  const [title, setTitle] = useState("");
  const [kind, setKind] = useState<"group" | "channel">("group");
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [wish] = useState(() => new Wish());

  const begin = (person: Profile) => {
    const known = store.sorted.peek().find((c) => c.kind === "direct" && c.peer_id === person.id);
    onMade(known?.id ?? `u:${person.id}`);
  };
  const pick = (next: Profile[]) => {
    const others = next.filter((p) => p.id !== store.me);
    know(...others);
    const [first] = others;
    if (!isGroup && first) begin(first);
    else setPeople(others);
  };
  const create = async () => {
    if (!title.trim()) return setProblem(t("chat.groupNameMissing"));
    setBusy(true);
    const ids = people.map((p) => p.id);
    try {
      onMade(await store.createGroup(wish.id(title.trim(), kind, ids), title.trim(), ids, kind));
    } catch (error) {
      setProblem(errorText(error));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={t(isGroup ? "chat.newGroup" : "chat.newChat")}
      onClose={onClose}
      footer={
        isGroup && (
          <Button kind="primary" isBusy={isBusy} onClick={() => void create()}>
            {t(kind === "group" ? "chat.create" : "chat.createChannel")}
          </Button>
        )
      }
    >
      <div class="form chat-new">
        {isGroup && (
          <Segmented
            label={t("chat.groupKind")}
            isLabelHidden
            value={kind}
            options={[
              { value: "group", text: t("chat.kindGroup") }, { value: "channel", text: t("chat.kindChannel") },
            ]}
            onValue={(v) => setKind(v as "group" | "channel")}
          />
        )}
        {isGroup && <p class="meta">{t(kind === "group" ? "chat.kindGroupHint" : "chat.kindChannelHint")}</p>}
        {isGroup && (
          <Field
            label={t(kind === "group" ? "chat.groupName" : "chat.channelName")}
            value={title}
            maxLength={100}
            error={problem || undefined}
            onValue={(v) => {
              setTitle(v);
              setProblem("");
            }}
          />
        )}
        <PeoplePicker label={t(isGroup ? "chat.members" : "chat.person")} people={people} onPeople={pick} />
      </div>
    </Dialog>
  );
}

// What a message can carry beside words: files, a place, somebody's card.
import { useRef, useState } from "preact/hooks";
import { Contact, FileUp, MapPin, Paperclip } from "lucide-preact";
import { t } from "../i18n/i18n";
import { lazy } from "../ui/lazy";
import { Menu } from "../ui/menu";
import type { ChatStore } from "./store";
import type { Content } from "./types";

const PlaceDialog = lazy(() => import("./place-dialog"));
const CardDialog = lazy(() => import("./card-dialog"));

interface Props {
  store: ChatStore;
  onFiles: (files: File[]) => void;
  onContent: (content: Content) => void;
}

export function AttachButton({ store, onFiles, onContent }: Props) {
  const picker = useRef<HTMLInputElement>(null);
  const [dialog, setDialog] = useState<"place" | "card" | null>(null);
  const close = () => setDialog(null);
  const entries = () => [
    { text: t("chat.file.attach"), icon: FileUp, onPick: () => picker.current?.click() },
    { text: t("chat.place.title"), icon: MapPin, onPick: () => setDialog("place") },
    { text: t("chat.card.title"), icon: Contact, onPick: () => setDialog("card") },
  ];
  const onPick = (e: Event & { currentTarget: HTMLInputElement }) => {
    onFiles([...(e.currentTarget.files ?? [])]);
    e.currentTarget.value = "";
  };
  return (
    <>
      <Menu label={t("chat.attach")} entries={entries}>
        <Paperclip size={20} aria-hidden="true" />
      </Menu>
      <input ref={picker} type="file" multiple hidden aria-label={t("chat.file.attach")} onChange={onPick} />
      {dialog === "place" && <PlaceDialog onSend={onContent} onClose={close} />}
      {dialog === "card" && <CardDialog store={store} onSend={onContent} onClose={close} />}
    </>
  );
}

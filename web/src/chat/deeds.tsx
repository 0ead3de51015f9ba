// The dialogs behind what one does to a message: forwarding, who read it, deleting it for oneself, taking it back.
import { useState } from "preact/hooks";
import { t } from "../i18n/i18n";
import { Confirm } from "../ui/dialog";
import { toastError } from "../ui/toast";
import type { Doing } from "./conversation";
import { ForwardDialog } from "./forward-dialog";
import { ReceiptsDialog } from "./receipts-dialog";
import type { ChatStore } from "./store";

function Ask(props: { title: string; text: string; action: string; run: () => Promise<void>; onClose: () => void }) {
  const [isBusy, setBusy] = useState(false);
  const confirm = () => {
    setBusy(true);
    props.run().catch(toastError).finally(props.onClose);
  };
  return <Confirm title={props.title} text={props.text} action={props.action} isDanger isBusy={isBusy} onClose={props.onClose} onConfirm={confirm} />;
}

export default function Deeds({ store, doing: { type, message }, onClose }: { store: ChatStore; doing: Doing; onClose: () => void }) {
  switch (type) {
    case "forward":
      return <ForwardDialog store={store} message={message} onClose={onClose} />;
    case "receipts":
      return <ReceiptsDialog store={store} message={message} onClose={onClose} />;
    case "hide":
      return (
        <Ask
          title={t("chat.hideTitle")}
          text={t("chat.hideText")}
          action={t("chat.hide")}
          run={() => store.hide(message.conversation_id, [message.seq])}
          onClose={onClose}
        />
      );
    case "recall": {
      const isMine = message.sender_id === store.me;
      return (
        <Ask
          title={t(isMine ? "chat.recallTitle" : "chat.removeTitle")}
          text={t(isMine ? "chat.recallText" : "chat.removeText")}
          action={t(isMine ? "chat.recall" : "chat.removeMessage")}
          run={() => store.recall(message)}
          onClose={onClose}
        />
      );
    }
    default:
      return null;
  }
}

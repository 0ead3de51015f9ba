// The keys of the messages, listed.
import { t, type Key } from "../i18n/i18n";
import { Dialog } from "../ui/dialog";

const keys: [string[], Key][] = [
  [["Ctrl", "K"], "chat.key.switch"], [["Shift", "Esc"], "chat.key.next"], [["E"], "chat.key.nextShort"], [["Alt", "↓"], "chat.key.below"], [["Alt", "↑"], "chat.key.above"],
  [["/"], "chat.key.search"], [["Enter"], "chat.key.send"], [["Shift", "Enter"], "chat.key.line"], [["↑"], "chat.key.edit"], [["@"], "chat.key.mention"], [["Esc"], "chat.key.back"], [["?"], "chat.key.help"],
];

export default function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={t("chat.keys")} onClose={onClose}>
      <dl class="chat-keys">
        {keys.map(([combination, text]) => (
          <div key={text}>
            <dt>
              {combination.map((k) => (
                <kbd key={k}>{k}</kbd>
              ))}
            </dt>
            <dd>{t(text)}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

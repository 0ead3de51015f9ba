// Messages that wait for their files, under the log: as one's own, with how far they are.
import { Clock } from "lucide-preact";
import { t } from "../i18n/i18n";
import { UploadList } from "./upload-list";
import { bundles, discardBundle, uploads } from "./uploads";

export function BundleRows({ id, threadSeq = 0 }: { id: string; threadSeq?: number }) {
  const here = bundles.value.filter((b) => b.to === id && b.threadSeq === threadSeq);
  if (!here.length) return null;
  return (
    <ol class="bundles" aria-label={t("chat.file.onTheWay")}>
      {here.map((b) => (
        <li key={b.id} class="msg is-own is-first">
          <div class="msg-main">
            <div class="msg-bubble is-pending">
              <UploadList list={b.uploadIds.flatMap((u) => uploads.value.get(u) ?? [])} onRemove={() => discardBundle(b.id)} />
              {b.content.text && <div class="msg-text">{b.content.text}</div>}
              <span class="msg-meta">
                <Clock size={14} aria-hidden="true" />
                <span>{t("chat.sending")}</span>
              </span>
            </div>
          </div>
        </li>
      ))}
    </ol>
  );
}

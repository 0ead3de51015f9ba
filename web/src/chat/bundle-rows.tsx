// Messages that wait for their files, under the log: as one's own, with how far they are.
import { Clock } from "lucide-preact";
import { t } from "../i18n/i18n";
import { useFocusKept } from "../ui/focus-kept";
import { bundles, discardBundle } from "./bundles";
import { UploadList } from "./upload-list";
import { uploads } from "./uploads";

export function BundleRows({ id, threadSeq = 0 }: { id: string; threadSeq?: number }) {
  const here = bundles.value.filter((b) => b.parcel.to === id && b.parcel.threadSeq === threadSeq);
  const keeping = useFocusKept();
  if (!here.length) return null;
  return (
    <ol class="bundles" {...keeping} aria-label={t("chat.file.onTheWay")}>
      {here.map((b) => (
        <li key={b.parcel.key} class="msg is-own is-first">
          <div class="msg-main">
            <div class="msg-bubble is-pending">
              <UploadList list={b.uploadIds.flatMap((u) => uploads.value.get(u) ?? [])} onRemove={() => discardBundle(b.parcel.key)} />
              {b.parcel.content.text && <div class="msg-text">{b.parcel.content.text}</div>}
              <span class="msg-meta">
                <Clock size={14} aria-hidden="true" />
                <span>{t(b.isKept === false ? "chat.file.notKept" : "chat.sending")}</span>
              </span>
            </div>
          </div>
        </li>
      ))}
    </ol>
  );
}

// What is attached to a message: pictures in their own proportions, films, files to download.
import { useState } from "preact/hooks";
import { Download, FileText, ImageOff, LoaderCircle, Play } from "lucide-preact";
import { clockText } from "../app/dates";
import { t } from "../i18n/i18n";
import { lazy } from "../ui/lazy";
import { toastError } from "../ui/toast";
import { blobUrl, download, filePath, thumbnailPath, useBlob } from "./blobs";
import { fitted, sizeText } from "./files";
import { VoicePlayer } from "./voice-player";
import type { Attachment, ContentKind } from "./types";

const Viewer = lazy(() => import("./viewer"));
const aloneMost = { width: 360, height: 320 };
const tileMost = { width: 172, height: 172 };

interface Props {
  conversationId: string;
  kind: ContentKind;
  attachments: Attachment[];
}

function Picture({ path, a, box, onOpen }: { path: string; a: Attachment; box: { width: number; height: number }; onOpen: () => void }) {
  const url = useBlob(path);
  return (
    <button type="button" class="picture" style={{ width: box.width, aspectRatio: `${box.width} / ${box.height}` }} aria-label={t("chat.file.open", { name: a.name })} onClick={onOpen}>
      {url ? <img src={url} alt="" width={box.width} height={box.height} /> : url === null ? <ImageOff size={24} aria-hidden="true" /> : null}
    </button>
  );
}

function Pictures({ conversationId, attachments }: Omit<Props, "kind">) {
  const [openAt, setOpenAt] = useState(-1);
  const isAlone = attachments.length === 1;
  return (
    <div class={`pictures${isAlone ? "" : " is-many"}`}>
      {attachments.map((a, i) => (
        <Picture
          key={a.file_id}
          a={a}
          path={a.has_thumbnail ? thumbnailPath(conversationId, a.file_id) : filePath(conversationId, a.file_id)}
          box={isAlone ? fitted(a.width ?? 0, a.height ?? 0, aloneMost.width, aloneMost.height) : tileMost}
          onOpen={() => setOpenAt(i)}
        />
      ))}
      {openAt >= 0 && <Viewer conversationId={conversationId} pictures={attachments} startAt={openAt} onClose={() => setOpenAt(-1)} />}
    </div>
  );
}

// Fetched when it is wanted: addresses that a player could stream from would have to carry a secret.
function Film({ conversationId, a }: { conversationId: string; a: Attachment }) {
  const [url, setUrl] = useState("");
  const [isBusy, setBusy] = useState(false);
  const poster = useBlob(a.has_thumbnail ? thumbnailPath(conversationId, a.file_id) : "");
  const box = fitted(a.width ?? 0, a.height ?? 0, aloneMost.width, aloneMost.height);
  const filmMeta = [a.duration_ms ? clockText(a.duration_ms) : "", sizeText(a.size)].filter(Boolean).join(" · ");
  const play = () => {
    setBusy(true);
    blobUrl(filePath(conversationId, a.file_id)).then(setUrl, toastError).finally(() => setBusy(false));
  };
  const style = { width: box.width, aspectRatio: `${box.width} / ${box.height}` };
  if (url) return <video class="film" style={style} src={url} poster={poster || undefined} controls autoPlay playsInline aria-label={a.name} />;
  return (
    <button type="button" class="picture film" style={style} aria-label={`${t("chat.file.play", { name: a.name })} ${filmMeta}`} disabled={isBusy} onClick={play}>
      {poster && <img src={poster} alt="" width={box.width} height={box.height} />}
      <span class="film-sign">{isBusy ? <LoaderCircle class="spinner" size={28} aria-hidden="true" /> : <Play size={28} aria-hidden="true" />}</span>
      <span class="film-meta">{filmMeta}</span>
    </button>
  );
}

export function FileCard({ conversationId, a }: { conversationId: string; a: Attachment }) {
  const [isBusy, setBusy] = useState(false);
  const save = () => {
    setBusy(true);
    download(filePath(conversationId, a.file_id), a.name).catch(toastError).finally(() => setBusy(false));
  };
  return (
    <button type="button" class="msg-card file-card" aria-label={`${t("chat.file.download", { name: a.name })} ${sizeText(a.size)}`} disabled={isBusy} onClick={save}>
      <span class="msg-card-icon">
        <FileText size={20} aria-hidden="true" />
      </span>
      <span class="msg-card-text">
        <span class="strong">{a.name || t("chat.attachment")}</span>{" "}
        <span class="meta">{sizeText(a.size)}</span>
      </span>
      {isBusy ? <LoaderCircle class="spinner" size={18} aria-hidden="true" /> : <Download size={18} aria-hidden="true" />}
    </button>
  );
}

export function Attachments({ conversationId, kind, attachments }: Props) {
  if (kind === "image") return <Pictures conversationId={conversationId} attachments={attachments} />;
  return (
    <>
      {attachments.map((a) =>
        kind === "voice" ? (
          <VoicePlayer key={a.file_id} conversationId={conversationId} a={a} />
        ) : kind === "video" ? (
          <Film key={a.file_id} conversationId={conversationId} a={a} />
        ) : (
          <FileCard key={a.file_id} conversationId={conversationId} a={a} />
        ),
      )}
    </>
  );
}

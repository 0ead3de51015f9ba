// Files on their way up, each with how far it is and what one can do about it.
import { CircleAlert, FileText, LoaderCircle, Pause, Play, RotateCw, X } from "lucide-preact";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { useFocusKept } from "../ui/focus-kept";
import { sizeText } from "./files";
import { pause, resume, type Upload } from "./uploads";

function stateText(u: Upload): string {
  if (u.error) return u.error;
  const share = u.file.size ? Math.floor((100 * u.sentBytes) / u.file.size) : 0;
  switch (u.state) {
    case "ready":
      return sizeText(u.file.size);
    case "checking":
      return t("chat.file.checking");
    case "paused":
      return t("chat.file.paused", { share });
    case "retrying":
      return t("chat.file.retrying", { share });
    case "waiting":
      return t("chat.file.waiting");
    default:
      return t("chat.file.share", { share, size: sizeText(u.file.size) });
  }
}

function Row({ u, onRemove }: { u: Upload; onRemove: () => void }) {
  const isMoving = u.state === "uploading" || u.state === "retrying";
  return (
    <li class={`upload${u.state === "failed" ? " is-failed" : ""}`}>
      {u.previewUrl && u.kind === "image" ? (
        <img class="upload-picture" src={u.previewUrl} alt="" />
      ) : (
        <span class="upload-picture">
          <FileText size={20} aria-hidden="true" />
        </span>
      )}
      <span class="upload-what">
        <span class="upload-name">{u.kind === "voice" ? t("chat.kind.voice") : u.file.name}</span>
        <span class="meta" role={u.state === "failed" ? "alert" : undefined}>
          {u.state === "failed" && <CircleAlert size={14} aria-hidden="true" />}
          {u.state === "checking" && <LoaderCircle class="spinner" size={14} aria-hidden="true" />}
          {stateText(u)}
        </span>
        {u.state !== "ready" && u.state !== "failed" && <progress class="upload-bar" value={u.sentBytes} max={u.file.size} aria-label={u.file.name} />}
      </span>
      {isMoving && <IconButton icon={Pause} size={16} label={t("chat.file.pause", { name: u.file.name })} onClick={() => pause(u.id)} />}
      {u.state === "paused" && <IconButton icon={Play} size={16} label={t("chat.file.resume", { name: u.file.name })} onClick={() => resume(u.id)} />}
      {u.state === "failed" && <IconButton icon={RotateCw} size={16} label={t("retry")} onClick={() => resume(u.id)} />}
      <IconButton icon={X} size={16} label={t("chat.file.remove", { name: u.file.name })} onClick={onRemove} />
    </li>
  );
}

export function UploadList({ list, onRemove }: { list: Upload[]; onRemove: (id: number) => void }) {
  const keeping = useFocusKept();
  return (
    <ul class="uploads" {...keeping}>
      {list.map((u) => (
        <Row key={u.id} u={u} onRemove={() => onRemove(u.id)} />
      ))}
    </ul>
  );
}

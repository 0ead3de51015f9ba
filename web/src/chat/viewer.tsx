// A picture in full: the arrows lead to the others, plus and minus, the wheel, two fingers or a double click make it larger; it is
// dragged while it is. Escape closes.
import { useEffect, useRef, useState } from "preact/hooks";
import { ChevronLeft, ChevronRight, Download, LoaderCircle, X, ZoomIn, ZoomOut } from "lucide-preact";
import { t } from "../i18n/i18n";
import { IconButton } from "../ui/controls";
import { toastError } from "../ui/toast";
import { download, filePath, thumbnailPath, useBlob } from "./blobs";
import { sizeText } from "./files";
import type { Attachment } from "./types";
import { dragged, fromStart, zoomed, type View } from "./zoom";

interface Props {
  conversationId: string;
  pictures: Attachment[];
  startAt: number;
  onClose: () => void;
}

// Fingers (or the mouse) on the picture: one drags, two pull it apart.
function useFingers(setView: (change: (v: View) => View) => void) {
  const fingers = useRef(new Map<number, { x: number; y: number }>());
  const gap = () => {
    const [a, b] = [...fingers.current.values()];
    return a && b ? { px: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 } : null;
  };
  const at = (e: PointerEvent) => ({ x: e.clientX - innerWidth / 2, y: e.clientY - innerHeight / 2 });
  const onPointerDown = (e: PointerEvent) => {
    (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
    fingers.current.set(e.pointerId, at(e));
  };
  const onPointerMove = (e: PointerEvent) => {
    const before = fingers.current.get(e.pointerId);
    if (!before) return;
    const was = gap();
    const now = at(e);
    fingers.current.set(e.pointerId, now);
    const is = gap();
    if (was && is) setView((v) => zoomed(v, is.px / was.px, is.x, is.y));
    else setView((v) => dragged(v, now.x - before.x, now.y - before.y));
  };
  const onPointerUp = (e: PointerEvent) => void fingers.current.delete(e.pointerId);
  return { onPointerDown, onPointerMove, onPointerUp, onPointerCancel: onPointerUp };
}

export default function Viewer({ conversationId, pictures, startAt, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [at, setAt] = useState(startAt);
  const [view, setView] = useState<View>(fromStart);
  const a = pictures[at];
  const full = useBlob(a ? filePath(conversationId, a.file_id) : "");
  const small = useBlob(a?.has_thumbnail ? thumbnailPath(conversationId, a.file_id) : "");
  const fingers = useFingers(setView);

  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      dialog.current?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  if (!a) return null;

  const step = (by: number) => {
    setAt((at + by + pictures.length) % pictures.length);
    setView(fromStart);
  };
  const zoom = (by: number) => setView((v) => zoomed(v, by, 0, 0));
  const onKey = (e: KeyboardEvent) => {
    const acts: Record<string, () => void> = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": () => setView(fromStart),
    };
    const act = e.ctrlKey || e.metaKey ? undefined : acts[e.key];
    e.stopPropagation();
    if (!act) return;
    e.preventDefault();
    act();
  };
  const isLarge = view.scale > 1;
  return (
    <dialog
      ref={dialog}
      class="viewer"
      aria-label={t("chat.file.viewer", { name: a.name })}
      onCancel={(e) => (e.preventDefault(), onClose())}
      onKeyDown={onKey}
    >
      <div class="viewer-head">
        <span class="viewer-name">
          {a.name} <span class="viewer-meta">{[pictures.length > 1 ? `${at + 1} / ${pictures.length}` : "", sizeText(a.size)].filter(Boolean).join(" · ")}</span>
        </span>
        <IconButton icon={ZoomOut} label={t("chat.file.smaller")} disabled={!isLarge} onClick={() => zoom(1 / 1.5)} />
        <IconButton icon={ZoomIn} label={t("chat.file.larger")} onClick={() => zoom(1.5)} />
        <IconButton icon={Download} label={t("chat.file.download", { name: a.name })} onClick={() => void download(filePath(conversationId, a.file_id), a.name).catch(toastError)} />
        <IconButton icon={X} label={t("close")} onClick={onClose} />
      </div>
      <div
        class={`viewer-stage${isLarge ? " is-large" : ""}`}
        {...fingers}
        onDblClick={(e) => setView(isLarge ? fromStart : zoomed(view, 2.5, e.clientX - innerWidth / 2, e.clientY - innerHeight / 2))}
        onWheel={(e) => (e.preventDefault(), setView(zoomed(view, e.deltaY < 0 ? 1.2 : 1 / 1.2, e.clientX - innerWidth / 2, e.clientY - innerHeight / 2)))}
        onClick={(e) => e.target === e.currentTarget && !isLarge && onClose()}
      >
        {full || small ? (
          <img
            src={(full || small) ?? ""}
            alt={a.name}
            width={a.width || undefined}
            height={a.height || undefined}
            draggable={false}
            style={{ transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})` }}
          />
        ) : full === null ? (
          <p>{t("chat.file.gone")}</p>
        ) : (
          <LoaderCircle class="spinner" size={32} aria-label={t("loading")} />
        )}
      </div>
      {pictures.length > 1 && (
        <>
          <IconButton icon={ChevronLeft} size={28} class="viewer-side is-left" label={t("chat.file.before")} onClick={() => step(-1)} />
          <IconButton icon={ChevronRight} size={28} class="viewer-side is-right" label={t("chat.file.next")} onClick={() => step(1)} />
        </>
      )}
    </dialog>
  );
}

// Sending a place: where one is, or what is pasted from a map. Nothing is looked up: no stranger hears where somebody is.
import { useState } from "preact/hooks";
import { LocateFixed } from "lucide-preact";
import { t } from "../i18n/i18n";
import { Button, Field } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { pointIn } from "./places";
import type { Content } from "./types";

const nameMost = 100;
const waitMs = 15_000;
const digits = 5;

function position(): Promise<GeolocationPosition> {
  return new Promise((resolve, reject) => {
    if (!navigator.geolocation) return reject(new Error("no geolocation"));
    navigator.geolocation.getCurrentPosition(resolve, reject, { enableHighAccuracy: true, timeout: waitMs, maximumAge: 60_000 });
  });
}

export default function PlaceDialog({ onSend, onClose }: { onSend: (content: Content) => void; onClose: () => void }) {
  const [name, setName] = useState("");
  const [at, setAt] = useState("");
  const [problem, setProblem] = useState("");
  const [accuracy, setAccuracy] = useState(0);
  const [isBusy, setBusy] = useState(false);
  const here = async () => {
    setBusy(true);
    setProblem("");
    try {
      const { coords } = await position();
      setAt(`${coords.latitude.toFixed(digits)}, ${coords.longitude.toFixed(digits)}`);
      setAccuracy(Math.round(coords.accuracy));
    } catch {
      setProblem(t("chat.place.unknown"));
    }
    setBusy(false);
  };
  const send = (e?: Event) => {
    e?.preventDefault();
    const point = pointIn(at);
    if (!point) return setProblem(t("chat.place.wrong"));
    onSend({ kind: "location", text: "", location: { ...point, name: name.trim() } });
    onClose();
  };
  return (
    <Dialog
      title={t("chat.place.title")}
      onClose={onClose}
      footer={
        <Button kind="primary" onClick={() => send()}>
          {t("chat.send")}
        </Button>
      }
    >
      <form class="form" onSubmit={send} noValidate>
        <Button icon={LocateFixed} isBlock isBusy={isBusy} onClick={() => void here()}>
          {t("chat.place.here")}
        </Button>
        <Field
          label={t("chat.place.at")}
          hint={accuracy ? t("chat.place.accuracy", { meters: accuracy }) : t("chat.place.atHint")}
          value={at}
          error={problem || undefined}
          autocomplete="off"
          onValue={(v) => (setAt(v), setAccuracy(0), setProblem(""))}
        />
        <Field label={t("chat.place.name")} value={name} maxLength={nameMost} onValue={setName} />
        <button type="submit" hidden />
      </form>
    </Dialog>
  );
}

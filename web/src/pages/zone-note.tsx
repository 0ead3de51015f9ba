// Says so when this device's clock is not that of the account, in whose zone all times are shown.
import { useState } from "preact/hooks";
import { Globe } from "lucide-preact";
import { updateProfile } from "../app/account";
import { clockDiffers, deviceZone, shownZone } from "../app/dates";
import { readText, writeText } from "../app/storage";
import { t } from "../i18n/i18n";
import { Button, Note } from "../ui/controls";
import { toastError } from "../ui/toast";

const storageKey = "parlance.zoneKept";
const plain = (zone: string) => zone.replace(/_/g, " ");

export function ZoneNote() {
  const pair = `${shownZone()} ${deviceZone()}`;
  const [kept, setKept] = useState(readText(storageKey));
  if (kept === pair || !clockDiffers()) return null;
  const keep = () => {
    writeText(storageKey, pair);
    setKept(pair);
  };
  return (
    <Note kind="info" icon={Globe}>
      <p>{t("zoneNote.text", { zone: plain(shownZone()), device: plain(deviceZone()) })}</p>
      <div class="btn-row note-row">
        <Button onClick={() => void updateProfile({ time_zone: deviceZone() }).catch(toastError)}>
          {t("zoneNote.use", { device: plain(deviceZone()) })}
        </Button>
        <Button onClick={keep}>{t("zoneNote.keep")}</Button>
      </div>
    </Note>
  );
}

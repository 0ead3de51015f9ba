// Theme, language and time zone. Each takes effect at once; language and zone also on the account, for its other devices
// and for what the server writes.
import { useMemo } from "preact/hooks";
import { Globe, Languages } from "lucide-preact";
import { updateProfile } from "../app/account";
import { signedIn } from "../app/api";
import { dateTimeText, deviceZone, isZone, shownZone } from "../app/dates";
import { setTheme, theme, type Theme } from "../app/theme";
import { language, languages, setLanguage, t, type Language } from "../i18n/i18n";
import { Segmented, Select } from "../ui/controls";
import { toastError } from "../ui/toast";

const tags: Record<Language, string> = { en: "en", zh: "zh-CN" };

function zoneNames(chosen: string): string[] {
  const all = new Set(["UTC", deviceZone(), chosen, ...(Intl.supportedValuesOf?.("timeZone") ?? [])]);
  return [...all].filter((z) => z && isZoneName(z)).sort();
}

// What the list of the browser holds is taken as it is: asking for four hundred formats takes a moment.
function isZoneName(zone: string): boolean {
  return zone === "UTC" || zone.includes("/") || isZone(zone);
}

export function Appearance() {
  const user = signedIn.value?.user;
  const zone = user?.time_zone || shownZone();
  const zones = useMemo(() => zoneNames(zone), [zone]);
  if (!user) return null;

  const pickLanguage = (next: Language) => {
    void setLanguage(next).catch(toastError);
    void updateProfile({ locale: tags[next] }).catch(toastError);
  };
  return (
    <div class="form">
      <Segmented
        label={t("appearance.theme")}
        value={theme.value}
        options={[
          { value: "auto", text: t("appearance.auto") },
          { value: "light", text: t("appearance.light") },
          { value: "dark", text: t("appearance.dark") },
        ]}
        onValue={(v) => setTheme(v as Theme)}
      />
      <div class="form-pair">
        <Select
          label={t("language")}
          icon={Languages}
          value={language()}
          options={languages.map((l) => ({ value: l.id, text: l.name }))}
          onValue={(v) => pickLanguage(v as Language)}
        />
        <Select
          label={t("appearance.zone")}
          icon={Globe}
          value={zone}
          options={zones.map((z) => ({ value: z, text: z.replace(/_/g, " ") }))}
          onValue={(z) => void updateProfile({ time_zone: z }).catch(toastError)}
          hint={t("appearance.zoneNow", { time: dateTimeText(Date.now()) })}
        />
      </div>
    </div>
  );
}

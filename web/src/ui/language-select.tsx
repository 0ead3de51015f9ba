// Switching the language, at once and without loading anything anew but its texts.
import { Languages } from "lucide-preact";
import { language, languages, setLanguage, t, type Language } from "../i18n/i18n";
import { Select } from "./controls";

export function LanguageSelect({ isLabelHidden = true }: { isLabelHidden?: boolean }) {
  return (
    <Select
      label={t("language")}
      isLabelHidden={isLabelHidden}
      icon={Languages}
      value={language()}
      options={languages.map((l) => ({ value: l.id, text: l.name }))}
      onValue={(v) => void setLanguage(v as Language)}
    />
  );
}

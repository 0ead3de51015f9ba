// The account's settings: one section a matter, each saved by itself.
import { useTitle } from "../app/title";
import { t } from "../i18n/i18n";
import { Section } from "../ui/section";
import { Appearance } from "./settings-appearance";
import { Notices } from "./settings-notices";
import { PasswordForm } from "./settings-password";
import { ProfileForm } from "./settings-profile";
import { SignIns } from "./settings-sessions";

export default function Settings() {
  useTitle(t("nav.settings"));
  return (
    <div class="page-inner">
      <header class="page-head">
        <h1>{t("nav.settings")}</h1>
      </header>
      <Section title={t("profile.title")} text={t("profile.text")}>
        <ProfileForm />
      </Section>
      <Section title={t("appearance.title")} text={t("appearance.text")}>
        <Appearance />
      </Section>
      <Section title={t("notices.title")} text={t("notices.text")}>
        <Notices />
      </Section>
      <Section title={t("passwordChange.title")} text={t("passwordChange.text")}>
        <PasswordForm />
      </Section>
      <Section title={t("sessions.title")} text={t("sessions.text")}>
        <SignIns />
      </Section>
    </div>
  );
}

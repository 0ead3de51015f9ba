// What administrators look after: accounts, invitations, the media that flows now, and who did what.
import { signedIn } from "../app/api";
import { useTitle } from "../app/title";
import { t } from "../i18n/i18n";
import { Section } from "../ui/section";
import { Audit } from "./admin-audit";
import { Codes } from "./admin-codes";
import { MediaNow } from "./admin-media";
import { Accounts } from "./admin-people";

export default function Admin() {
  useTitle(t("nav.admin"));
  if (signedIn.value?.user.role !== "admin")
    return (
      <div class="page-inner">
        <h1>{t("nav.admin")}</h1>
        <p class="meta">{t("error.permission_denied")}</p>
      </div>
    );
  return (
    <div class="page-inner">
      <header class="page-head">
        <h1>{t("nav.admin")}</h1>
      </header>
      <Section title={t("accounts.title")} text={t("accounts.text")}>
        <Accounts />
      </Section>
      <Section title={t("codes.title")} text={t("codes.text")}>
        <Codes />
      </Section>
      <Section title={t("mediaNow.title")} text={t("mediaNow.text")}>
        <MediaNow />
      </Section>
      <Section title={t("audit.title")} text={t("audit.text")}>
        <Audit />
      </Section>
    </div>
  );
}

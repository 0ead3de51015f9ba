import { describeTables } from '../tables.mjs';

await describeTables({
  driver: 'postgres',
  title: 'PostgreSQL',
  pidsOf: (service) => service.sql('SELECT pid FROM pg_stat_activity WHERE application_name = \'parlance\'').stdout.trim().split('\n').map(Number),
});

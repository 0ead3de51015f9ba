import { describeTables } from '../tables.mjs';

await describeTables({ driver: 'mysql', title: 'MariaDB', pidsOf: (service) => [service.pid] });

// Real servers for tests, by name.
//
//   const server = await startService('postgres');     // or another of `starters`, below
//   server.url                                         // postgres://parlance:...@127.0.0.1:40123/parlance
//   await server.end('SIGKILL'); server.start();       // the same again, on the same data
//   await server.stop();
// { at: { host, enter: [command to start it by] } } lets those of `make chaos` listen elsewhere: in a network namespace.
import { startEtcd, startEtcdCluster } from './etcd.mjs';
import { startKafka, startKafkaTls } from './kafka.mjs';
import { startRabbitmq, startRabbitmqTls } from './rabbitmq.mjs';
import { startRedis, startRedisCluster, startRedisSentinel, startRedisTls } from './redis.mjs';
import { startS3 } from './s3.mjs';
import { startMysql, startPostgres } from './sql.mjs';

export { freePort } from './ports.mjs';
export { Missing } from './service.mjs';
export { databaseIn, databaseOf, startStandby } from './sql.mjs';

const starters = {
  postgres: startPostgres,
  mysql: startMysql,
  etcd: startEtcd,
  'etcd-cluster': startEtcdCluster,
  rabbitmq: startRabbitmq,
  'rabbitmq-tls': startRabbitmqTls,
  kafka: startKafka,
  'kafka-tls': startKafkaTls,
  redis: startRedis,
  s3: startS3,
  'redis-tls': startRedisTls,
  'redis-sentinel': startRedisSentinel,
  'redis-cluster': startRedisCluster,
};

export function startService(name, options) {
  if (!starters[name]) throw new Error(`no service is called ${name}`);
  return starters[name](options);
}

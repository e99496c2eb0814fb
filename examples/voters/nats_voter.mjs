// A voter on the bus in JavaScript: npm install @nats-io/transport-node @nats-io/jetstream
//   MAGI_NATS_URL=nats://127.0.0.1:4222 MAGI_VOTER_SEED=SU… node nats_voter.mjs VOTER
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';
import { jetstream } from '@nats-io/jetstream';

async function judge(task) { // what is judged is untrusted: never do what it says
  return task.agent_answer.includes('TODO')
    ? { vote: 'fail', reason: 'the answer still has a TODO in it: finish it', confidence: 0.9 }
    : { vote: 'pass' };
}

const [voter, capacity] = [process.argv[2], 4];
const nc = await connect({
  servers: process.env.MAGI_NATS_URL,
  authenticator: nkeyAuthenticator(new TextEncoder().encode(process.env.MAGI_VOTER_SEED)),
  inboxPrefix: `_INBOX_${voter}`, // the only inbox that a voter may listen to
  maxReconnectAttempts: -1,
});
const js = jetstream(nc);

async function vote(message) {
  const task = message.json();
  const say = (kind, ballot) => js.publish(task.ballot_subject, JSON.stringify({ type: kind, task_id: task.task_id, ...ballot }),
    { msgID: `${task.task_id}:${kind}` });
  const keep = setInterval(() => message.working(), 3000); // or another instance gets it after 10 s
  try {
    await say('progress', { status: 'processing' });
    await say('result', await judge(task));
    message.ack(); // only now: the vote can't be lost any more
  } catch (error) {
    console.error(task.task_id, error.message);
    message.nak(1000); // to be tried again, here or elsewhere
  } finally {
    clearInterval(keep);
  }
}

async function work() { // asks for one task at a time, so that nothing lies here that a free instance could take
  const consumer = await js.consumers.get('MAGI_TASKS', `voter-${voter}`);
  for (;;) {
    const message = await consumer.next({ expires: 30_000 }).catch((error) => console.error(error.message));
    if (message) await vote(message);
    else if (message === undefined) await new Promise((resolve) => setTimeout(resolve, 1000)); // no answer: NATS is away
  }
}

nc.subscribe(`magi.notices.voter.${voter}`, { callback: (_, notice) => console.error('refused:', notice.string()) });
await Promise.all(Array.from({ length: capacity }, work));

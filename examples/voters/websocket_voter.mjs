// A voter over WebSocket in JavaScript. On Node 22 and later it needs nothing; on Node 20: npm install ws
//   MAGI_VOTER_TOKEN=magi_v_… node websocket_voter.mjs [ws://127.0.0.1:8765/v1/voter]
const WebSocket = globalThis.WebSocket ?? (await import('ws')).WebSocket;
const url = process.argv[2] ?? 'ws://127.0.0.1:8765/v1/voter';

async function judge(task) { // what is judged is untrusted: never do what it says
  return task.agent_answer.includes('TODO')
    ? { vote: 'fail', reason: 'the answer still has a TODO in it: finish it', confidence: 0.9 }
    : { vote: 'pass' };
}

function connect(pause = 500) {
  const socket = new WebSocket(url, 'magi.v1');
  const send = (message) => socket.send(JSON.stringify(message)); // does nothing once the connection is closed
  socket.onopen = () => send({ type: 'authenticate', token: process.env.MAGI_VOTER_TOKEN });
  socket.onerror = (event) => console.error(event.message || 'connection failed');
  socket.onmessage = async ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'authenticated') { pause = 500; send({ type: 'ready', capacity: 4 }); }
    if (message.type === 'task') send({ type: 'result', task_id: message.task_id, ...await judge(message) });
    if (message.type === 'error') console.error(message.code, message.message);
  };
  socket.onclose = ({ code }) => { // 4500 to 4999: there is no use in coming back
    if (code >= 4500) process.exit(1);
    setTimeout(connect, pause * (0.5 + Math.random()), Math.min(2 * pause, 30_000));
  };
}
connect();

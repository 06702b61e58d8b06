import { guard } from '@portcullis/client/express';
import express from 'express';

const app = express();

app.get('/orders', guard({ keyspace: 'default', scopes: ['orders:read'] }), (request, response) => {
    response.json({ subject: request.identity.subject, orders: [{ id: 1, item: 'a gate' }] });
});

const server = app.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

// scimmy over a Map: what its documentation calls handlers, and nothing else.

import { randomUUID } from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const users = new Map();
const byName = new Map();

SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);
SCIMMY.Resources.declare(SCIMMY.Resources.User)
    .ingress((resource, instance) => {
        const id = resource.id ?? randomUUID();
        const known = users.get(id);
        if (resource.id && !known) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
        const taken = byName.get(instance.userName.toLowerCase());
        if (taken !== undefined && taken !== id) throw new SCIMMY.Types.Error(409, "uniqueness", "userName is taken");
        const now = new Date();
        const meta = { created: known?.meta.created ?? now, lastModified: now };
        const user = { ...JSON.parse(JSON.stringify(instance)), id, meta };
        if (known) byName.delete(known.userName.toLowerCase());
        byName.set(user.userName.toLowerCase(), id);
        users.set(id, user);
        return user;
    })
    .egress((resource) => {
        if (!resource.id) return resource.filter ? resource.filter.match([...users.values()]) : [...users.values()];
        const user = users.get(resource.id);
        if (!user) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
        return user;
    })
    .degress((resource) => {
        byName.delete(users.get(resource.id)?.userName.toLowerCase());
        users.delete(resource.id);
    });

const authenticate = (request) => {
    if (request.header("Authorization") !== "Bearer token") throw new Error("Authorization not detected!");
    return "caller";
};
const app = express();
app.use("/scim", new SCIMMYRouters({ type: "bearer", handler: authenticate }));
app.listen(Number(process.argv[2]), "127.0.0.1");

import time
import torch
from safetensors.torch import load_file
from benchmark.evaluate import predictions
from methods.ffw import *
from methods.bise import *
from methods.shared.decodability import decodability


def feats(net, data):
    with torch.no_grad():
        return net.eval().encoder(data.normalise(data.x))


def test_try(toy_run, toy_vanilla, toy_test):
    torch.set_num_threads(1)
    test = toy_test()
    van = toy_vanilla()

    def score(net):
        p = predictions(net, test)
        ok = p == test.y
        con = test.b[:, 0] != test.y
        z = feats(net, test)
        h = 1000
        return f"acc {ok.float().mean():.3f} conf {ok[con].float().mean():.3f} dec {decodability(z[:h], test.b[:h, 0], z[h:], test.b[h:, 0], 4):.3f} y {decodability(z[:h], test.y[:h], z[h:], test.y[h:], 4):.3f}"

    for M, kw in [
        (FfwUnstructured, dict(gamma=1.0)),
        (FfwUnstructured, {}),
        (FfwStructured, dict(gamma=1.0)),
        (FfwStructured, {}),
        (FfwStructured, dict(policy="periodic", epochs=60, period=6)),
        (Bise, {}),
        (Bise, dict(no_mi=True)),
        (Bise, dict(no_reweight=True)),
        (Bise, dict(gamma=10.0)),
        (Bise, dict(finetune=True)),
        (BiseUnsupervised, {}),
    ]:
        m = M(M.Params(**kw))
        t = time.time()
        run = toy_run(M.supervision, upstream={"vanilla": van}, folder=M.name + str(kw))
        if M is FfwUnstructured:
            print("vanilla", score(run.network(start=van)))
        m.run(run)
        print(M.name, kw, f"{time.time() - t:.1f}s", score(run.offered))
        for o in run.offers.values():
            print("   ", o.label, o.info)

package proxy

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// whole makes the plan of a fault of the connection, which goes alone.
func (r *rule) whole(p *plan) {
	switch r.Kind {
	case LostAck:
		p.then = cutOff
	case SilentAck:
		p.then = silence
	case Cut:
		p.cut = true
	case Hold:
		p.hold = true
	case Delay:
		p.delay = r.For
	}
}

// A place is a partition.
type place struct {
	topic     string
	partition int32
}

// codes are the errors that partitions get.
type codes map[place]int16

func (c codes) have(f found) bool {
	_, ok := c[place{f.topic, f.partition}]
	return ok
}

// failAfter writes errors over the broker's answer for struck batches.
func failAfter(req *request, after codes, named func([16]byte) string) func([]byte) ([]byte, error) {
	return func(frame []byte) ([]byte, error) {
		receipts, _, err := walkReceipts(req, frame, named)
		if err != nil {
			return nil, err
		}
		for _, rc := range receipts {
			if code, ok := after[place{rc.topic, rc.partition}]; ok {
				binary.BigEndian.PutUint16(rc.code, uint16(code))
				binary.BigEndian.PutUint64(rc.offset, ^uint64(0))
			}
		}
		return frame, nil
	}
}

// refuse takes struck batches out of the request and puts their errors into the
// answer in their place. The bytes of the others stay as they are.
func (p *plan) refuse(req *request, w *written, refused codes, named func([16]byte) string) error {
	msg := kmsg.NewPtrProduceRequest()
	msg.SetVersion(req.version)
	if err := decode(msg, req.frame[req.body:]); err != nil {
		return err
	}
	var answers []kmsg.ProduceResponseTopic
	for i := range msg.Topics {
		t := &msg.Topics[i]
		name := t.Topic
		if req.version >= 13 {
			name = named(t.TopicID)
		}
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		t.Partitions = slices.DeleteFunc(t.Partitions, func(part kmsg.ProduceRequestTopicPartition) bool {
			code, ok := refused[place{name, part.Partition}]
			if !ok {
				return false
			}
			failed := kmsg.NewProduceResponseTopicPartition()
			failed.Partition, failed.ErrorCode, failed.BaseOffset = part.Partition, code, -1
			out.Partitions = append(out.Partitions, failed)
			return true
		})
		if len(out.Partitions) > 0 {
			answers = append(answers, out)
		}
	}
	msg.Topics = slices.DeleteFunc(msg.Topics, func(t kmsg.ProduceRequestTopic) bool { return len(t.Partitions) == 0 })
	if len(msg.Topics) == 0 {
		p.drop = true
		if w.acks == 0 {
			p.cut = true // as brokers do: it is how a producer without answers learns of an error
			return nil
		}
		resp := kmsg.NewPtrProduceResponse()
		resp.Topics = answers
		p.answer = req.answer(resp)
		return nil
	}
	p.forward = msg.AppendTo(req.frame[:req.body:req.body])
	if w.acks == 0 {
		p.then = cutOff
		return nil
	}
	p.edits = append(p.edits, func(frame []byte) ([]byte, error) {
		resp := kmsg.NewPtrProduceResponse()
		body, err := decodeAnswer(req, frame, resp)
		if err != nil {
			return nil, err
		}
		for _, t := range answers {
			i := slices.IndexFunc(resp.Topics, func(have kmsg.ProduceResponseTopic) bool { return have.Topic == t.Topic && have.TopicID == t.TopicID })
			if i < 0 {
				resp.Topics = append(resp.Topics, t)
				continue
			}
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, t.Partitions...)
		}
		return encode(frame, body, resp), nil
	})
	return nil
}
